"""`pytorch_model.bin` without PyTorch, beside what PyTorch itself reads of the same file."""

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

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
