"""Convscope's engine: convolutional networks in Python and Numba, trained and stepped alike."""

from __future__ import annotations

from engine.io import load, save
from engine.layers.graph import Input
from engine.model import Model
from engine.scheduler import Scheduler

__all__ = ["Input", "Model", "Scheduler", "load", "save"]
