"""The arrays that contracts speak of."""

from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Tensors: TypeAlias = dict[str, np.ndarray]  # canonical name -> array; names and layouts are those of Google's checkpoints
