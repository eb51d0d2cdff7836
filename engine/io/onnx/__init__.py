"""Networks in the ONNX format, for other programs to run."""

from __future__ import annotations

from engine.io.onnx.export import export_onnx

__all__ = ["export_onnx"]
