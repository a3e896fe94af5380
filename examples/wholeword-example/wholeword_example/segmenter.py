class LongestMatch:
    """Takes the longest word of a list at every place, else one character."""

    def __init__(self, *, words: list[str]):
        self.words = set(words)
        self.longest = max(map(len, words), default=1)

    def segment(self, sentences):
        for sentence in sentences:
            line, start = [], 0
            while start < len(sentence):
                sizes = range(min(self.longest, len(sentence) - start), 1, -1)
                size = next((size for size in sizes if sentence[start : start + size] in self.words), 1)
                line.append(sentence[start : start + size])
                start += size
            yield line
