"""Names for the types that appear in signatures all over the engine."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Any NumPy array; the docstring beside each use gives shape and dtype."""

Shape = tuple[int, ...]
"""A shape without or with the batch axis, as the docstring beside each use says."""

Index = tuple[int, ...]
"""A place in an array, in public axis order (n, c, y, x) or (o, i, ky, kx)."""

Phase = Literal["load", "forward", "loss", "backward", "update"]
PHASES: tuple[Phase, ...] = ("load", "forward", "loss", "backward", "update")

Scalar = np.floating[Any]
"""A stored number with its dtype, so that its bits can be compared."""
