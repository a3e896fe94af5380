"""LTP of the Harbin Institute of Technology, which the original models were made with. Commercial use of it has to be paid for.

Legacy models (a perceptron, `LTP/legacy`) run on `ltp_extension` alone, neural ones (`LTP/tiny`, `small`, `base` ...) on `ltp` and torch.
LTP leaves a blank with the word before it and drops those that a text begins with (and, in neural models, what else has no piece there,
such as control characters). What it drops is given back, so that words join to the sentence.

The words of a neural model depend on nothing but its weights: float32 rounds by batch, threads and device, and where two choices are so
close that this could decide, float64 does.
"""

import io
import json
import mmap
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unicodedata import normalize

from wholeword.core.errors import NetworkError, UserError, WholewordError

MAX_PIECES = 510  # the neural models read 512 with [CLS] and [SEP]; LTP makes one word of the rest
LONG, SHORT = (  # all of a text if it fits, else parts that end at a mark if they can
    re.compile(rf".{{1,{length}}}\Z|.{{1,{length - 1}}}[，,；;：:。！？!?、\s]|.{{1,{length}}}", re.DOTALL)
    for length in (MAX_PIECES, MAX_PIECES // 4)  # pieces are made of NFD, in which a character is four at most
)
CLOSE = 0.01  # between two scores; in LTP/tiny most are 10 apart, and batches or threads make a difference of 3e-5


class LTP:
    """LTP's words.

    Args:
        model: a folder with `config.json`, or a name on the hub.
        revision: branch, tag or commit of a model on the hub.
        device: where a neural model runs, such as cuda:1; the CPU by default.
    """

    libraries = ("ltp_extension",)

    def __init__(self, *, model: str | Path = "LTP/legacy", revision: str | None = None, device: str | None = None):
        import ltp_extension

        folder, commit = _find(model, revision)
        with _explaining(f"segmenter.model: {model} is no LTP model"):
            config = json.loads((folder / "config.json").read_bytes())
            if config["nerual"]:  # the misspelling is LTP's
                self._parts, self._read, library = _parts, _Neural(folder, device).read, "ltp"
            else:
                perceptron = ltp_extension.perceptron.CWSModel.load(_undamaged(folder / config["tasks"]["cws"]))
                self._parts, self._read, library = _one_part, partial(perceptron.batch_predict, parallelism=False), "ltp_extension"
        self.version = f"{library} {version(library)}{commit}"

    def segment(self, sentences: Sequence[str]) -> list[list[str]]:
        """Sentences too long for a neural model are read in parts that end at a mark."""
        parts = [self._parts(sentence) for sentence in sentences]
        words = iter(self._read([part for line in parts for part in line]))
        return [[word for part in line for word in _complete(part, next(words))] for line in parts]


class _Neural:
    def __init__(self, folder: Path, device: str | None):
        self.model = _load_neural(folder)
        with _explaining(f"segmenter.device: cannot use {device!r}"):
            self.model.to(device or "cpu").double().float()
        self.batch_size = 1 << 10 if self.model.device.type == "cpu" else 1 << 15  # characters; a core's cache holds 1,024
        self.close: list[bool] = []  # of the texts that were read last: whether two choices are close
        self.model.model.task_heads["cws"].register_forward_hook(self._compare)

    def read(self, texts: Sequence[str]) -> list[list[str]]:
        words, close = self._read_once(texts)
        if close:
            self.model.double()
            decided, _ = self._read_once([texts[number] for number in close])
            self.model.float()
            for number, line in zip(close, decided, strict=True):
                words[number] = line
        return words

    def _read_once(self, texts: Sequence[str]) -> tuple[list[list[str]], list[int]]:
        """Words of each text, and the numbers of the texts in which two choices are close."""
        words: list[list[str]] = [[] for _ in texts]
        close: list[int] = []
        for batch in _batches(texts, self.batch_size):
            lists = self.model.pipeline([texts[number] for number in batch], tasks=["cws"]).cws
            for number, line in zip(batch, lists, strict=True):
                words[number] = line
            close += [number for number, is_close in zip(batch, self.close, strict=True) if is_close]
        return words, close

    def _compare(self, head: Any, inputs: Any, result: Any) -> None:
        best, second = result.logits.topk(2).values.unbind(-1)
        self.close = ((best - second < CLOSE) & result.attention_mask).any(1).tolist()


def _one_part(sentence: str) -> list[str]:
    return [sentence]


def _parts(sentence: str) -> list[str]:
    """What a neural model reads at once."""
    return [
        short for part in LONG.findall(sentence) for short in ([part] if len(normalize("NFD", part)) <= MAX_PIECES else SHORT.findall(part))
    ]


def _batches(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Numbers of texts, those of like length together: the shorter ones are padded."""
    batch: list[int] = []
    for number in sorted(range(len(texts)), key=lambda number: len(texts[number])):
        if batch and len(texts[number]) * (len(batch) + 1) > size:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _complete(text: str, words: list[str]) -> list[str]:
    """The words, and before them what LTP has dropped."""
    dropped = len(text) - sum(map(len, words))
    return [text[:dropped], *words] if dropped > 0 and text.endswith("".join(words)) else words


def _find(model: str | Path, revision: str | None) -> tuple[Path, str]:
    """The folder of a model; and of one on the hub its name and commit, for the version."""
    if Path(model).is_dir():
        if revision:
            raise UserError(f"segmenter.revision: {model} is a folder and has none; leave it out")
        return Path(model), ""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(str(model), revision=revision))  # LTP's own download needs an older hub client
    except ValueError as error:
        expectation = "expected a folder with config.json, or a name on the hub such as LTP/legacy"
        raise UserError(f"segmenter.model: there is no folder {str(model)!r}; {expectation}") from error
    except Exception as error:
        why = " ".join(str(error).split())
        raise NetworkError(f"segmenter.model: there is no folder {str(model)!r}, and it cannot be fetched from the hub: {why}") from error
    return folder, f", {model} {folder.name}"


def _load_neural(folder: Path) -> Any:
    from ltp import LTP, nerual

    if multiprocessing.parent_process() and "OMP_NUM_THREADS" not in os.environ:  # the processes are the parallelism
        nerual.torch.set_num_threads(1)
    with redirect_stdout(io.StringIO()):  # it announces itself
        model = LTP(str(folder))
    with open(folder / "pytorch_model.bin", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as weights:
        missing = [name for name in model.model.state_dict() if weights.find(name.encode()) < 0]
    if missing:  # LTP leaves them random
        raise ValueError(f"pytorch_model.bin has no {missing[0]}")
    if not hasattr(model.tokenizer, "batch_encode_plus"):  # ltp 4.2.14 calls it; transformers 5 has it no more
        model.tokenizer.batch_encode_plus = model.tokenizer.__call__
    return model


def _undamaged(path: Path) -> str:
    """The path of a legacy model. LTP aborts the process that reads a damaged one, so another process reads it first."""
    path.stat()  # raises if there is none
    read = "import sys, ltp_extension; ltp_extension.perceptron.CWSModel.load(sys.argv[1])"
    if subprocess.run([sys.executable, "-c", read, path], capture_output=True).returncode < 0:
        raise ValueError(f"{path.name} is damaged")
    return str(path)


@contextmanager
def _explaining(subject: str) -> Iterator[None]:
    """Around calls that may raise anything if a user's setting is wrong."""
    try:
        yield
    except (ImportError, WholewordError):
        raise
    except Exception as error:
        why = str(error).partition("\n")[0]  # without a backtrace
        raise UserError(f"{subject}: {type(error).__name__}: {why}") from error
