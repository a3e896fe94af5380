"""Whether a model's heads are trained or still as some library initialised them, judged by the weights alone.

An optimizer step moves every bias and LayerNorm of a head away from its initial values, which are the same in all libraries: biases 0,
LayerNorms 1 and 0. Kernels confirm it: Google's code draws them from a normal truncated at two deviations, transformers and paddlenlp from
a normal that is not truncated, PyTorch's own layers (their biases too) uniformly within 1/sqrt(size_in).
Source: google-research/bert `modeling.py`.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np

from wholeword.core.contracts import BertConfig, ModelFiles

State = Literal["trained", "untouched", "missing", "unclear"]
CUT_DEVIATION = 0.8796  # of a standard normal cut at two deviations
EVEN = "an even distribution, as PyTorch's own layers draw it"


class Part(NamedTuple):
    """The tensors of a part."""

    kernel: str
    vectors: dict[str, float]  # name: initial value
    axis_in: int = 0  # of the kernel


# Part of a model for pre-training: its tensors
PARTS = {
    "MLM head": Part(
        "cls/predictions/transform/dense/kernel",
        {
            "cls/predictions/transform/dense/bias": 0.0,
            "cls/predictions/transform/LayerNorm/gamma": 1.0,
            "cls/predictions/transform/LayerNorm/beta": 0.0,
            "cls/predictions/output_bias": 0.0,
        },
    ),
    "NSP head": Part("cls/seq_relationship/output_weights", {"cls/seq_relationship/output_bias": 0.0}, axis_in=1),
    "pooler": Part("bert/pooler/dense/kernel", {"bert/pooler/dense/bias": 0.0}),
}


class Verdict(NamedTuple):
    """On one part."""

    state: State
    why: str  # one sentence


class Heads(NamedTuple):
    """The verdicts on all parts."""

    mlm: Verdict
    nsp: Verdict
    pooler: Verdict

    def named(self) -> dict[str, Verdict]:
        """By the names of PARTS."""
        return dict(zip(PARTS, self, strict=True))

    def lines(self) -> list[str]:
        """For people."""
        return [f"{name}: {state}: {why}" for name, (state, why) in self.named().items()]

    def plain(self) -> dict[str, dict[str, str]]:
        """For JSON."""
        return {name: verdict._asdict() for name, verdict in self.named().items()}


def inspect(weights: Mapping[str, np.ndarray], config: BertConfig) -> Heads:
    """Judge the heads by the weights.

    Args:
        weights: by canonical name.
        config: kernels are compared with its `initializer_range`.
    """
    return Heads(*(_verdict(part, weights, config.initializer_range) for part in PARTS.values()))


def inspect_model(model: ModelFiles) -> Heads:
    """The same for a model that was read and completed: the parts that its files did not have are missing."""
    absent = {name for part in model.provenance.missing or () for name in (PARTS[part].kernel, *PARTS[part].vectors)}
    return inspect({name: array for name, array in model.weights.items() if name not in absent}, model.config)


def _verdict(part: Part, weights: Mapping[str, np.ndarray], deviation: float) -> Verdict:
    expected = [part.kernel, *part.vectors]
    if absent := [name for name in expected if name not in weights]:
        if len(absent) == len(expected):
            return Verdict("missing", f"none of its {len(expected)} tensors is there")
        return Verdict("unclear", f"{len(absent)} of its {len(expected)} tensors are not there, {absent[0]} first")
    if odd := [name for name in expected if not np.isfinite(weights[name]).all()]:
        return Verdict("unclear", f"{odd[0]} holds values that are no numbers")

    kernel = weights[part.kernel].astype(np.float64)
    bound = 1 / sqrt(kernel.shape[part.axis_in])
    initialiser = _initialiser(kernel, deviation, bound)
    untouched = [name for name, first in part.vectors.items() if (weights[name] == first).all()]
    moved = [name for name in part.vectors if name not in untouched]
    spread = f"the weights have deviation {kernel.std():.4f} and reach {np.abs(kernel).max():.4f}"
    exactly = ", ".join(f"{_short(name)} {part.vectors[name]:g}" for name in untouched)
    if not moved:
        if initialiser:
            return Verdict("untouched", f"{exactly} exactly, and {spread}: {initialiser}")
        if any(
            "LayerNorm" in name for name in untouched
        ):  # an optimizer step leaves no gamma at exactly 1, whatever the kernel was drawn from
            return Verdict("untouched", f"{exactly} exactly, though {spread}, which no library's first values do")
        return Verdict("unclear", f"{exactly} exactly, as never trained, but {spread}, which no library's first values do")
    if initialiser == EVEN and all("LayerNorm" not in name and np.abs(weights[name]).max() <= bound * 1.001 for name in moved):
        return Verdict("untouched", f"{spread}: {EVEN}, within {bound:.4f}, the biases too")
    if untouched:
        return Verdict("unclear", f"{', '.join(map(_short, moved))} moved off their first values, but {exactly} exactly, as never trained")
    values = sum(weights[name].size for name in moved)
    away = sum(int(np.count_nonzero(weights[name] != part.vectors[name])) for name in moved)
    moves = ", ".join(f"{_short(name)} by {np.abs(weights[name] - part.vectors[name]).max():.2g}" for name in moved)
    return Verdict("trained", f"{away:,} of {values:,} values moved off their first ones (at most {moves}), and {spread}")


def _initialiser(kernel: np.ndarray, deviation: float, bound: float) -> str | None:
    """Whose initial values these look like; None: no library's."""
    actual, largest = kernel.std(), np.abs(kernel).max()
    tolerance = 5 / sqrt(2 * kernel.size)  # five standard errors of the deviation of that many draws

    def is_like(expected: float) -> bool:
        return bool(abs(actual / expected - 1) < tolerance)

    if largest <= 2 * deviation * 1.001 and is_like(CUT_DEVIATION * deviation):  # a thousandth of tolerance for 16-bit files
        return f"a normal of {deviation:g} cut at two deviations, as Google's code draws it"
    if largest <= bound * 1.001 and is_like(bound / sqrt(3)):
        return EVEN
    if is_like(deviation) and largest < 7 * deviation:
        return f"a normal of {deviation:g} without a cut, as transformers and paddlenlp draw it"
    return None


def _short(name: str) -> str:
    return "/".join(name.split("/")[2:]).replace("dense/", "")
