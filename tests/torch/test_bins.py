"""`pytorch_model.bin` without PyTorch, beside what PyTorch itself reads of the same file."""

import argparse
import subprocess
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wholeword.core.errors import UserError
from wholeword.core.formats.torch_bin import Bin

GENERATOR = torch.Generator().manual_seed(5)


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR).to(dtype)


def tensors() -> dict[str, torch.Tensor]:
    """Every kind that a state dict of a BERT may hold, and every way to lie in a storage."""
    wide, tied = numbers(6, 8), numbers(7, 3)
    return {
        **{str(dtype): numbers(3, 5, dtype=dtype) for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)},
        **{str(dtype): numbers(9).mul(50).to(dtype) for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)},
        "bool": numbers(4) > 0,
        "transposed": wide.T,
        "a part": wide[2:5, 1:7:2],
        "strided": numbers(20)[3::4],
        "scalar": numbers(),
        "empty": numbers(0, 4),
        "one": tied,
        "the same": tied,
        "语言": torch.nn.Parameter(numbers(2, 2)),
        "without gradient": torch.nn.Parameter(numbers(2), requires_grad=False),
        "requires gradient": numbers(2).requires_grad_(),
    }


def as_state_dict() -> OrderedDict[str, torch.Tensor]:
    """With the versions of its modules as an attribute."""
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4)).state_dict()


CONTENTS = {"dict": tensors(), "state dict": as_state_dict(), "empty": {}}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("what", CONTENTS)
def test_the_arrays_are_those_of_pytorch(tmp_path: Path, what: str, protocol: int, zipped: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(CONTENTS[what], path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    expected, file = torch.load(path, weights_only=False), Bin(path)
    found = file.read(expected.keys())
    assert list(file.shapes) == list(expected)
    for name, tensor in expected.items():
        values = (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).detach().numpy()
        assert found[name].dtype == values.dtype and file.shapes[name] == values.shape == found[name].shape, name
        assert found[name].tobytes() == values.tobytes(), name
    if what == "dict":
        assert np.shares_memory(found["one"], found["the same"])


def test_what_is_written_to_an_array_does_not_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"x": numbers(3)}, path)
    before, array = path.read_bytes(), Bin(path).read(["x"])["x"]
    array += 1
    del array
    assert path.read_bytes() == before


def test_pytorch_is_not_needed(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(3.0)}, tmp_path / "x.bin")
    program = """
import sys
from pathlib import Path
from wholeword.core.formats.torch_bin import Bin
print(Bin(Path(sys.argv[1])).read(["x"])["x"], "torch" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path / "x.bin")], capture_output=True, text=True, check=True)
    assert result.stdout == "[0. 1. 2.] False\n"


WORDS = "bert.embeddings.word_embeddings.weight"
STATE = {WORDS: numbers(5, 4), "bert.pooler.dense.bias": numbers(4)}


def optimizer_state() -> dict[str, object]:
    """Of AdamW after a step: numbers for keys, tensors of its own."""
    parameter = torch.nn.Parameter(numbers(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    return optimizer.state_dict()


CHECKPOINTS: dict[str, Callable[[], object]] = {
    "a training loop": lambda: {"model": STATE, "optimizer": optimizer_state(), "epoch": 3, "loss": 0.5, "best": numbers(), "done": False},
    "Lightning": lambda: {
        **{"epoch": 1, "global_step": 2**40, "pytorch-lightning_version": "2.4.0", "state_dict": OrderedDict(STATE), "loops": {"fit": {}}},
        **{"callbacks": {"ModelCheckpoint{'monitor': 'x'}": {"best_model_score": numbers()}}, "optimizer_states": [optimizer_state()]},
        "hyper_parameters": {"lr": 1e-5, "folder": Path("x"), "tags": {"a"}, "more": frozenset({1}), "size": (1, 2)},
    },
    "argparse": lambda: {"args": argparse.Namespace(lr=1e-5, layers=[1, 2]), "state_dict": STATE, "dtype": torch.float16},
    "NumPy": lambda: {"model": STATE, "score": np.float64(0.5), "counts": defaultdict(int, {"a": 1}), "shape": STATE[WORDS].shape},
    "two deep": lambda: {"trainer": {"net": STATE, "step": 7}},
    "beside other things": lambda: STATE | {"epoch": 3},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("what", CHECKPOINTS)
def test_the_state_dict_is_found_in_what_training_programs_save(tmp_path: Path, what: str, protocol: int, zipped: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(CHECKPOINTS[what](), path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    file = Bin(path)
    assert list(file.shapes) == list(STATE) and file.notes
    assert all(array.tobytes() == STATE[name].numpy().tobytes() for name, array in file.read(STATE).items())


def test_a_whole_model_is_refused_with_what_to_save(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.bin")
    with pytest.raises(UserError, match=r"x\.bin: contains objects of the class 'torch\.nn.*Linear', .*; save model\.state_dict\(\)"):
        Bin(tmp_path / "x.bin")


def test_several_state_dicts_are_refused_by_their_keys(tmp_path: Path) -> None:
    torch.save({"student": STATE, "teacher": {WORDS: numbers(5, 4)}}, tmp_path / "x.bin")
    assert Bin(tmp_path / "x.bin").notes[0] == "the state dict is the one under 'student'"
    torch.save({"query": STATE, "passage": {WORDS: numbers(5, 4)}}, tmp_path / "x.bin")
    with pytest.raises(UserError, match=r"x\.bin: several state dicts, under query and passage; save the one to be read on its own"):
        Bin(tmp_path / "x.bin")
