"""Files: runs, weights, other frameworks' formats."""

from __future__ import annotations

from engine.io.checkpoint import load, save

__all__ = ["load", "save"]
