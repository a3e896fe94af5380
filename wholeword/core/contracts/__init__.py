"""What a plugin's object must look like, by kind. Nothing here needs to be inherited from."""

from typing import TYPE_CHECKING

from wholeword.core.contracts.training import (
    Backend,
    Cleaner,
    Exporter,
    FineTuner,
    Head,
    Masked,
    MaskingStrategy,
    ModelFiles,
    Optimizer,
    RowSource,
    Segmenter,
    Task,
    Trainer,
    ZooSource,
)

if TYPE_CHECKING:
    from wholeword.core.contracts.training import Array, Tensors

__all__ = [
    "Array",
    "Backend",
    "Cleaner",
    "Exporter",
    "FineTuner",
    "Head",
    "Masked",
    "MaskingStrategy",
    "ModelFiles",
    "Optimizer",
    "RowSource",
    "Segmenter",
    "Task",
    "Tensors",
    "Trainer",
    "ZooSource",
]
