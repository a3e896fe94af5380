from wholeword.core.contracts import Documents


class Titled:
    """One sentence per line. A line such as `# 码头` is the title of the document below it, and is left out."""

    lines_are_sentences = True
    smallest_part = "document"

    def last_border(self, data, end):
        return data.rfind(b"\n# ", 0, end) + 1

    def documents(self, part):
        lines, starts, numbers = [], [], []
        begins = True
        for number, line in enumerate(part.text.split("\n"), part.first_line):
            if line.startswith("# "):
                begins = True
            elif line.strip():
                starts += [len(lines)] if begins else []
                lines.append(line)
                numbers.append(number)
                begins = False
        return Documents(lines, starts, numbers)
