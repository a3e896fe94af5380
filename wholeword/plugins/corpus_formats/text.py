"""Running text: lines of any number of sentences."""

from wholeword.plugins.corpus_formats.sentences import Sentences


class Text(Sentences):
    """Like `Sentences`, but each line is split into sentences."""

    lines_are_sentences = False
