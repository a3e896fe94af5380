"""Text that was cut into words before."""

from collections.abc import Sequence

from wholeword.core.data.align import is_latin


class Presegmented:
    """Words parted by a separator, which is not text: 使用 语言 模型 is 使用语言模型. Between two Latin words or numbers a blank is.

    Args:
        separator: the text between words. A blank means white space of any kind and length.
    """

    def __init__(self, *, separator: str = " "):
        self.separator = None if separator.isspace() or not separator else separator

    def split(self, sentences: Sequence[str]) -> list[tuple[str, list[str]]]:
        """The text of each sentence and its words, which join to it. The framework asks for this before `segment`."""
        return [self._split(sentence) for sentence in sentences]

    def _split(self, sentence: str) -> tuple[str, list[str]]:
        words = [word for word in map(str.strip, sentence.split(self.separator)) if word]
        for number in range(1, len(words)):
            if is_latin(words[number - 1][-1]) and is_latin(words[number][0]):
                words[number] = " " + words[number]
        return "".join(words), words

    def segment(self, sentences: Sequence[str]) -> list[list[str]]:
        return [words for _, words in self.split(sentences)]
