from typing import Literal

from wholeword.plugins.pytorch import PyTorch


class OnCpu:
    """PyTorch on the CPU, whatever else the machine has."""

    def __init__(self, *, precision: Literal["fp32", "bf16"] = "fp32"):
        self.backend = PyTorch(device="cpu", precision=precision)

    def start(self, **arguments):
        return self.backend.start(**arguments)

    def describe(self):
        return "PyTorch on the CPU"
