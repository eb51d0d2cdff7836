"""Files: runs, weights, other programs' formats."""

from __future__ import annotations

from engine.io.checkpoint import load, save
from engine.io.onnx import export_onnx

__all__ = ["export_onnx", "load", "save"]
