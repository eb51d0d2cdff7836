"""Convscope's engine: convolutional networks in Python and Numba, trained and stepped by one program."""

from __future__ import annotations

from engine.layers.graph import Input
from engine.model import Model

__all__ = ["Input", "Model"]
