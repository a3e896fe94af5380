"""LTP of the Harbin Institute of Technology, which the original models were made with. Commercial use of it has to be paid for.

Legacy models (a perceptron, `LTP/legacy`) run on `ltp_extension` alone, neural ones (`LTP/tiny`, `small`, `base` ...) on `ltp` and torch.
Words come back as LTP gives them: some end in the blank that followed them.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from wholeword.core.errors import NetworkError, UserError

MAX_CHARACTERS = 500  # the neural models read 510 pieces and lose the rest
PART = re.compile(rf".{{1,{MAX_CHARACTERS - 1}}}[，,；;：:。！？!?、\s]|.{{1,{MAX_CHARACTERS}}}", re.DOTALL)  # ends at a mark if it can


class LTP:
    """LTP's words.

    Args:
        model: a name on the hub, or a folder with `config.json`.
        batch_size: sentences the neural models read at once.
        device: where the neural models run, such as cuda:1; the CPU by default.
    """

    def __init__(self, *, model: str | Path = "LTP/legacy", batch_size: int = 64, device: str | None = None):
        from importlib.metadata import version

        import ltp_extension

        folder = Path(model) if Path(model).is_dir() else _fetch(str(model))
        try:
            config = json.loads((folder / "config.json").read_bytes())
            neural, tasks = config["nerual"], config.get("tasks")  # the misspelling is LTP's
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"segmenter.model: {model} is no LTP model: config.json: {type(error).__name__}: {error}") from None
        self.batch_size = batch_size
        if neural:
            self._model: Any = _load_neural(folder, device)
            self._cut = self._cut_neural
            self.version = f"ltp {version('ltp')}"
        else:
            self._model = ltp_extension.perceptron.CWSModel.load(str(folder / tasks["cws"]))
            self._cut = self._cut_legacy
            self.version = f"ltp_extension {version('ltp_extension')}"

    def segment(self, sentences: Sequence[str]) -> list[list[str]]:
        """Sentences too long for a neural model are read in parts that end at a mark."""
        parts = [PART.findall(sentence) for sentence in sentences]
        words = self._cut([part for sentence in parts for part in sentence])
        return [[word for _ in sentence for word in next(words)] for sentence in parts]

    def _cut_legacy(self, parts: list[str]) -> Iterator[list[str]]:
        return iter(self._model(parts, parallelism=False) if parts else [])

    def _cut_neural(self, parts: list[str]) -> Iterator[list[str]]:
        for first in range(0, len(parts), self.batch_size):
            yield from self._model.pipeline(parts[first : first + self.batch_size], tasks=["cws"]).cws


def _fetch(name: str) -> Path:
    """The folder of a model on the hub (LTP's own download needs an older hub client)."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:
        raise NetworkError(f"segmenter.model: cannot fetch {name!r}: {' '.join(str(error).split())}; a folder will do as well") from error


def _load_neural(folder: Path, device: str | None) -> Any:
    from ltp import LTP

    with redirect_stdout(io.StringIO()):  # it announces itself
        model = LTP(str(folder))
    if not hasattr(model.tokenizer, "batch_encode_plus"):  # ltp 4.2.14 calls it; transformers 5 has it no more
        model.tokenizer.batch_encode_plus = model.tokenizer.__call__
    return model.to(device) if device else model
