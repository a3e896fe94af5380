import json

import numpy as np

from wholeword.core.errors import IntegrityError


class Npz:
    """One NumPy archive, the configuration and the vocabulary; half: in float16."""

    def __init__(self, *, half: bool = False):
        self.dtype = np.float16 if half else np.float32

    def export(self, model, folder):
        np.savez(folder / "weights.npz", **{name: array.astype(self.dtype) for name, array in model.weights.items()})
        (folder / "config.json").write_text(json.dumps(model.config.to_dict(), indent=1), encoding="utf-8")
        (folder / "vocab.txt").write_bytes(model.vocabulary.to_bytes())

    def verify(self, model, folder):
        try:
            with np.load(folder / "weights.npz") as written:
                differences = [float(np.abs(written[name] - array).max()) for name, array in model.weights.items()]
        except Exception as error:
            raise IntegrityError(f"{folder}: {error}") from error
        if max(differences) > 1e-2:
            raise IntegrityError(f"{folder}: the weights differ by up to {max(differences):.1e}")
        yield f"{len(differences)} tensors, largest difference {max(differences):.1e}"
