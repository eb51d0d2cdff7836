"""What the window wants to see: the worker computes this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

PANELS: tuple[str, ...] = (
    "stack",
    "breakpoints",
    "network",
    "mosaic",
    "map",
    "kernels",
    "window",
    "input",
    "watch",
    "explanation",
    "prediction",
    "curves",
)


@dataclass(frozen=True, slots=True)
class Interest:
    """The visible panels and the selected element.

    Parameters
    ----------
    panels : frozenset of str
        Keys of the panels that are on screen.
    layer : str or None
        The selected layer; None follows the cursor.
    tensor : str or None
        Short name of the selected tensor (``"output"``, ``"weight.gradient"``); None follows.
    index : tuple of int or None
        The selected element of that tensor, in public axis order; None follows.
    """

    panels: frozenset[str] = frozenset(PANELS)
    layer: str | None = None
    tensor: str | None = None
    index: tuple[int, ...] | None = None

    def shows(self, *panels: str) -> bool:
        """Tell whether any of these panels is on screen."""
        return not self.panels.isdisjoint(panels)
