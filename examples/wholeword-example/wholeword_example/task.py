from pathlib import Path

from wholeword.core.contracts import TextExample
from wholeword.core.errors import UserError
from wholeword.core.text_files import read_text, tsv_rows


class Reviews:
    """Files train.tsv, dev.tsv and test.tsv with a label and a text per line."""

    head = "classification"
    labels = ("0", "1")
    metrics = ("accuracy",)

    def __init__(self, *, data: Path):
        self.data, self.notes = Path(data), []
        self.defaults = {"learning_rate": 1e-3, "batch_size": 4, "epochs": 2, "max_seq_length": 32, "warmup_rate": 0.1}

    @property
    def splits(self):
        return [split for split in ("train", "dev", "test") if (self.data / f"{split}.tsv").exists()]

    def read(self, split):
        examples = []
        for number, cells in tsv_rows(read_text(self.data / f"{split}.tsv", expected="labels and texts")):
            if len(cells) != 2 or cells[0] not in self.labels:
                raise UserError(f"{self.data}/{split}.tsv:{number}: {cells}; expected 0 or 1, a tab and a text")
            examples.append(TextExample(str(number), cells[1], label=cells[0]))
        return examples

    def score(self, examples, predictions):
        right = sum(predictions.get(example.id) == example.label for example in examples)
        return {"accuracy": 100 * right / len(examples), "TOTAL": len(examples)}
