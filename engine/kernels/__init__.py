"""Kernels: what they are written in, what launches them, and one package of them per device."""

from __future__ import annotations

import os

# SVML's vector functions round differently from the scalar ones that `explain` replays. Numba looks
# at this once, when it is first imported, and nothing in the engine imports it before this package.
os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")
