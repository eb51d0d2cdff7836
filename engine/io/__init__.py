"""Files: runs, weights, other programs' formats."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.io.checkpoint import load, save
    from engine.io.onnx import export_onnx

__all__ = ["export_onnx", "load", "save"]

# Imported when first asked for, as in `engine`: the window writes its settings through
# `engine.io.files`, which needs no compiler.
_HOMES = {
    "export_onnx": "engine.io.onnx",
    "load": "engine.io.checkpoint",
    "save": "engine.io.checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'engine.io' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
