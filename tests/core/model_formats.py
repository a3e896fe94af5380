"""Small models in every format that needs no framework: a folder with configuration, vocabulary and weights."""

import json
import math
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles
from wholeword.core.formats.pdparams import write_pdparams
from wholeword.core.formats.tensor_bundle import write_bundle
from wholeword.core.formats.tensors import write_tensors
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys("使用语言模型来预测下一个词的"), "。"])
SECTION = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 24}


def make_model(vocabulary: Vocabulary = VOCABULARY, **section: Any) -> ModelFiles:
    config = model_config(SECTION | section, vocab_size=len(vocabulary))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, vocabulary, True, True)


MODEL = make_model()


def write_shards(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    shards: dict[str, dict[str, np.ndarray]] = {}
    for number, name in enumerate(tensors):
        shards.setdefault(f"model-{1 + number % 3:05d}-of-00003.safetensors", {})[name] = tensors[name]
    for shard, part in shards.items():
        write_tensors(folder / shard, part)
    weight_map = {name: shard for shard, part in shards.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def write_google(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    """With the slots of Adam, as `run_pretraining.py` saves them."""
    slots = {f"{name}/{slot}": array for name, array in tensors.items() for slot in ("adam_m", "adam_v")}
    write_bundle(folder / "bert_model.ckpt", tensors | slots | {"global_step": np.array(7, np.int64)})


def pickled(name: str, key: str, length: int, shape: Sequence[int], start: int = 0, kind: str = "FloatStorage") -> bytes:
    """A name and its tensor, of the storage `key` with `length` numbers, every instruction as torch.save writes it."""

    def text(content: str) -> bytes:
        return b"X" + struct.pack("<I", len(content.encode())) + content.encode()

    def numbers(values: Sequence[int]) -> bytes:
        return b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values)

    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + numbers([length]) + b"tQ"
    where = numbers([start]) + b"(" + numbers(shape) + b"t(" + numbers(strides) + b"t"
    return text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + where + b"\x89ccollections\nOrderedDict\n)RtR"


def write_bin(path: Path, tensors: dict[str, np.ndarray]) -> None:
    entries = [pickled(name, str(key), array.size, array.shape) for key, (name, array) in enumerate(tensors.items())]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}(" + b"".join(entries) + b"u.")
        for key, array in enumerate(tensors.values()):
            file.writestr(f"archive/data/{key}", array.astype("<f4").tobytes())


FORMATS: dict[str, tuple[str, str, Callable[[Path, dict[str, np.ndarray]], None]]] = {
    "safetensors": ("config.json", "transformers", lambda folder, tensors: write_tensors(folder / "model.safetensors", tensors)),
    "shards of safetensors": ("config.json", "transformers", write_shards),
    "PyTorch": ("config.json", "transformers", lambda folder, tensors: write_bin(folder / "pytorch_model.bin", tensors)),
    "TF checkpoint": ("bert_config.json", "canonical", write_google),
    "Paddle": ("config.json", "paddlenlp", lambda folder, tensors: write_pdparams(folder / "model_state.pdparams", tensors)),
}


def write_model(folder: Path, form: str, model: ModelFiles = MODEL, *, without: tuple[str, ...] = (), **config: Any) -> Path:
    """A folder in that format; `config` are keys to change, None to leave out."""
    name, framework, write = FORMATS[form]
    folder.mkdir(parents=True, exist_ok=True)
    keys = {key: value for key, value in (model.config.to_dict() | config).items() if value is not None}
    (folder / name).write_text(json.dumps(keys))
    (folder / "vocab.txt").write_bytes(model.vocabulary.to_bytes())
    write(folder, to_framework({name: array for name, array in model.weights.items() if not name.startswith(without or "-")}, framework))
    return folder


def assert_same(model: ModelFiles, expected: ModelFiles) -> None:
    assert model.weights.keys() == expected.weights.keys() and model.config == expected.config
    assert all(np.array_equal(model.weights[name], array) for name, array in expected.weights.items())
    assert model.vocabulary.pieces == expected.vocabulary.pieces
