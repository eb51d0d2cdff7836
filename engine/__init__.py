"""Convscope's engine: convolutional networks in Python and Numba, trained and stepped alike."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.io import load, save
    from engine.layers.graph import Input
    from engine.model import Model
    from engine.scheduler import Scheduler

__all__ = ["Input", "Model", "Scheduler", "load", "save"]

# Imported when first asked for: the compiler behind them takes a second to load, and the window and
# the command line want to be there before that.
_HOMES = {
    "Input": "engine.layers.graph",
    "Model": "engine.model",
    "Scheduler": "engine.scheduler",
    "load": "engine.io",
    "save": "engine.io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
