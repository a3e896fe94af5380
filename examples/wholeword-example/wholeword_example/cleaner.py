import re


class MaskDigits:
    """Replaces numbers of more than `keep` digits, such as those of telephones, by zeros."""

    version = "1"

    def __init__(self, *, keep: int = 4):
        self.pattern = re.compile(rf"[0-9]{{{keep + 1},}}")

    def clean(self, lines):
        return [self.pattern.sub(lambda match: "0" * len(match[0]), line) for line in lines]
