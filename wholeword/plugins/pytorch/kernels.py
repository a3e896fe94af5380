"""One interface for what `Optimizer.build` returns on PyTorch: an `OptimizerKernel`, or a `torch.optim.Optimizer`.

Both save and load their state as arrays by name. A kernel's slots are all there from the start; PyTorch's own optimizers make theirs in
their first step, and keep numbers beside tensors, so that their state is rebuilt from what was saved.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wholeword.core.contracts import OptimizerKernel
from wholeword.core.errors import KernelError, UserError
from wholeword.plugins.pytorch.tensors import fill, to_canonical, to_tensor

if TYPE_CHECKING:
    from wholeword.core.contracts import Optimizer, Tensors

GROUP = "param_groups"  # first part of the names of a group's numbers: param_groups/0/d.number
NUMBER = ".number"


def build_kernel(optimizer: "Optimizer", parameters: Mapping[str, Tensor]) -> "SlotKernel | TorchKernel":
    """The optimizer of a recipe over some parameters, by canonical name.

    Raises: KernelError if it is neither of the two.
    """
    built = optimizer.build("pytorch", parameters.items())
    if isinstance(built, torch.optim.Optimizer):
        return TorchKernel(built, parameters)
    if isinstance(built, OptimizerKernel):
        return SlotKernel(built)
    raise KernelError(
        f"build('pytorch') returned {type(built).__name__}; expected an OptimizerKernel (step and slots) or a torch.optim.Optimizer"
    )


class SlotKernel:
    """A kernel of the contract. Raises: KernelError if a slot is no tensor."""

    def __init__(self, kernel: OptimizerKernel):
        self.kernel = kernel
        self.step = kernel.step
        self._slots()

    def state(self) -> "Tensors":
        """Copies of the slots, in canonical layouts."""
        return {slot: to_canonical(tensor, slot) for slot, tensor in self._slots().items()}

    def load(self, state: "Tensors") -> None:
        """Load a saved state. Raises: UserError if it belongs to another optimizer."""
        fill(self._slots(), state, kind="optimizer state")

    def reset(self) -> None:
        """Discard the state."""
        for tensor in self._slots().values():
            tensor.zero_()

    def _slots(self) -> Mapping[str, Tensor]:
        slots = self.kernel.slots
        for name, value in slots.items():
            if not isinstance(value, Tensor):
                raise KernelError(f"slots has {name}, a {type(value).__name__}; expected tensors")
        return slots


class TorchKernel:
    """PyTorch's own interface: clipped gradients in `.grad`, the learning rate in the groups.

    The state is saved by `<canonical name>/<key>` of what the optimizer keeps for a parameter, and the numbers of its groups by
    `param_groups/<number>/<key>`, since some optimizers change these too. The name of what is a plain number ends in `.number`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]):
        names = {parameter: name for name, parameter in parameters.items()}
        given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if foreign := [parameter for parameter in given if parameter not in names]:
            raise KernelError(f"build('pytorch') returned {_name(optimizer)} over {len(foreign)} tensors that it was not given")
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise KernelError(f"build('pytorch') returned {_name(optimizer)}, whose step needs a closure; expected one that does without")
        self.optimizer, self.parameters = optimizer, parameters
        self.names = [names[parameter] for parameter in given]  # in the order in which the optimizer counts them
        default = optimizer.defaults.get("lr")
        self.scales = [float(group["lr"]) / float(default) if default else 1.0 for group in optimizer.param_groups]
        self.first_groups = self._numbers()
        self.has_stepped = False

    def step(self, gradients: Mapping[str, Tensor], learning_rate: float, *, divisor: Tensor, skip: Tensor) -> None:
        """As `OptimizerKernel.step`. Raises: KernelError for whatever the optimizer raises."""
        if skip:
            return
        if gradients:
            torch._foreach_div_(list(gradients.values()), divisor)
        for group, scale in zip(self.optimizer.param_groups, self.scales, strict=True):
            group["lr"] = learning_rate * scale
        try:
            self.optimizer.step()
        except Exception as error:
            raise KernelError(f"{_name(self.optimizer)}.step failed: {type(error).__name__}: {' '.join(str(error).split())}") from error
        if not self.has_stepped:
            self.has_stepped = True
            self._expect_state_that_can_be_saved()

    def _expect_state_that_can_be_saved(self) -> None:
        for name, value in self._states():
            if not isinstance(value, Tensor | int | float):
                kind = type(value).__name__
                raise KernelError(f"{_name(self.optimizer)} keeps {name}, a {kind}; expected tensors and numbers, which can be saved")

    def state(self) -> "Tensors":
        """Copies, in canonical layouts."""
        arrays = {}
        for name, value in [*self._states(), *self._numbers().items()]:
            if isinstance(value, Tensor):
                arrays[name] = to_canonical(value, name)
            else:
                arrays[name + NUMBER] = np.array(value)
        return arrays

    def load(self, state: "Tensors") -> None:
        """Load a saved state. Raises: UserError if it belongs to another optimizer."""
        indices = {name: index for index, name in enumerate(self.names)}
        states: dict[int, dict[str, Any]] = {}
        groups: dict[str, Any] = {}
        for name, array in state.items():
            value = array.item() if name.endswith(NUMBER) else to_tensor(array, name)
            name = name.removesuffix(NUMBER)
            owner, _, key = name.rpartition("/")
            if owner in indices:
                states.setdefault(indices[owner], {})[key] = value
            elif name in self.first_groups:
                groups[name] = value
            else:
                raise UserError(f"optimizer state: {name} is unknown to {_name(self.optimizer)}")
        if missing := self.first_groups.keys() - groups.keys():
            raise UserError(f"optimizer state: {min(missing)}{NUMBER} is missing; {_name(self.optimizer)} has it")
        self._set_numbers(groups)
        self._set_states(states)

    def reset(self) -> None:
        """Discard the state."""
        self._set_states({})
        self._set_numbers(self.first_groups)

    def _states(self) -> Iterator[tuple[str, Any]]:
        """The optimizer's state by name, without entries that are None."""
        for index, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if value is not None:
                    yield f"{self.names[index]}/{key}", value

    def _numbers(self) -> dict[str, int | float]:
        """The numbers of the groups, but the learning rate, which every step sets."""
        return {
            f"{GROUP}/{number}/{key}": value
            for number, group in enumerate(self.optimizer.param_groups)
            for key, value in sorted(group.items())
            if key != "lr" and isinstance(value, int | float) and not isinstance(value, bool)
        }

    def _set_numbers(self, numbers: Mapping[str, int | float]) -> None:
        for name, value in numbers.items():
            _, number, key = name.split("/", 2)
            self.optimizer.param_groups[int(number)][key] = value

    def _set_states(self, states: Mapping[int, Mapping[str, Any]]) -> None:
        """Replace all the state; PyTorch puts each tensor on the device where the optimizer wants it."""
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": states})
        for index, state in states.items():
            own = self.optimizer.state[self.parameters[self.names[index]]]
            for key, value in state.items():
                if isinstance(value, Tensor) and own[key].dtype != value.dtype:
                    own[key] = value.to(own[key].device)  # subtle: loading casts everything to the dtype of the parameter


def _name(optimizer: torch.optim.Optimizer) -> str:
    return f"{type(optimizer).__module__.split('.')[0]}'s {type(optimizer).__name__}"
