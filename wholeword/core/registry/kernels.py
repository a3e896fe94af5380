"""Optimizers' implementations: one for each optimizer and framework, found by both names."""

from collections.abc import Iterable
from typing import Any

from wholeword.core.contracts.training import OptimizerKernel
from wholeword.core.errors import PluginError
from wholeword.core.registry.registry import registry


def frameworks(optimizer: str) -> list[str]:
    """The frameworks that have a kernel for an optimizer."""
    names = (name.rpartition(".") for name in registry.names("optimizer_kernel"))
    return [framework for name, _, framework in names if name == optimizer]


def build_kernel(optimizer: str, framework: str, named_parameters: Iterable[tuple[str, Any]], **settings: Any) -> OptimizerKernel:
    """Make the kernel that is registered as `optimizer.framework`.

    Raises: PluginError that lists the frameworks which have one, if this one has none.
    """
    there = frameworks(optimizer)
    if framework not in there:
        raise PluginError(
            f"optimizer {optimizer!r} has no kernel for {framework!r}, only for {', '.join(there) or 'no framework'}; "
            "a plugin can offer one with the hook register_optimizer_kernels"
        )
    kernel: OptimizerKernel = registry.create("optimizer_kernel", f"{optimizer}.{framework}", named_parameters=named_parameters, **settings)
    return kernel
