"""The debugger: step, break, explain, go back."""

from __future__ import annotations

from engine.debug.breakpoints import PRESETS, Breakpoint, Origin
from engine.debug.inspector import StepRecord, Stop
from engine.debug.position import LEVELS, Position
from engine.debug.session import Session
from engine.debug.stack import Frame
from engine.receptive_field import Box

__all__ = [
    "LEVELS",
    "PRESETS",
    "Box",
    "Breakpoint",
    "Frame",
    "Origin",
    "Position",
    "Session",
    "StepRecord",
    "Stop",
]
