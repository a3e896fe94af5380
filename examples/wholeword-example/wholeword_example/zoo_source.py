import json
from pathlib import Path

import numpy as np

from wholeword.core.bert.config import bert_config
from wholeword.core.contracts import ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary


class Npz:
    """What the exporter `npz` has written, read from a folder: npz:FOLDER."""

    def read(self, location):
        config, vocabulary = self.config(location), self.vocabulary(location)
        with np.load(Path(location, "weights.npz")) as file:
            weights = {name: file[name].astype(np.float32) for name in file.files}
        return ModelFiles(config, weights, vocabulary, lowercase=True, next_sentence=True)

    def config(self, location):
        path = Path(location, "config.json")
        if not path.exists():
            raise UserError(f"{path}: no such file; expected a folder that the exporter npz has written")
        return bert_config(json.loads(path.read_text(encoding="utf-8")), str(path))

    def vocabulary(self, location):
        return Vocabulary.read(Path(location, "vocab.txt"))
