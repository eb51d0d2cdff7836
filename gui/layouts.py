"""The three arrangements of the docks, as data, and how they are carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QDockWidget, QMainWindow

from gui.views.panel import Panel
from gui.views.panel_set import PanelSet

NAMES: tuple[str, ...] = ("Learn", "Debug", "Train")
DEFAULT = "Debug"
VERSION = 3
"""Of saved arrangements; older ones are dropped."""


@dataclass(frozen=True, slots=True)
class Split:
    """Children beside each other or one below the other, with their shares of the room."""

    across: bool
    children: tuple[tuple[float, Node], ...]


@dataclass(frozen=True, slots=True)
class Tabs:
    """Panels behind each other; the first is in front."""

    keys: tuple[str, ...]


Node = Split | Tabs | str


def row(*children: tuple[float, Node]) -> Split:
    """Return children from left to right, each with its share of the width."""
    return Split(True, children)


def column(*children: tuple[float, Node]) -> Split:
    """Return children from top to bottom, each with its share of the height."""
    return Split(False, children)


def arrangement(name: str, width: int, height: int) -> Node:
    """Return the arrangement of a layout in a window of that size, in pixels."""
    wide, tall = width >= 1600, height >= 940
    if name == "Learn":
        return row(
            (20, column((58, "input"), (42, "prediction"))),
            (56, column((18, "network"), (47, "window"), (35, row((36, "mosaic"), (64, "map"))))),
            (24, column((60, "explanation"), (40, "stack"))),
        )
    if name == "Train":
        return row(
            (
                64,
                column(
                    (34, "curves"),
                    (18, "network"),
                    (48, row((50, "mosaic"), (50, "kernels"))),
                ),
            ),
            (
                36 if not wide else 26,
                column(
                    (42, row((57, "input"), (43, "prediction")) if not wide else "input"),
                    (34, "map") if not wide else (26, "prediction"),
                    (24, Tabs(("activity", "watch"))),
                ),
            ),
        )
    maps: Node = row((36, Tabs(("mosaic", "kernels"))), (64, "map"))
    if wide:
        maps = row((29, "mosaic"), (43, "map"), (28, "kernels"))
    right: tuple[tuple[float, Node], ...] = (
        (40, "input"),
        (32, Tabs(("explanation", "watch"))),
        (28, "prediction"),
    )
    if tall:
        right = ((36, "input"), (16, "watch"), (24, "explanation"), (24, "prediction"))
    middle = column((17 if not tall else 15, "network"), (40, maps), (43, "window"))
    main = row(
        (16 if not wide else 13, column((70, "stack"), (30, "breakpoints"))),
        (64 if not wide else 69, middle),
        (20 if not wide else 18, column(*right)),
    )
    return column((88, main), (12, "curves")) if tall else main


def leaves(node: Node) -> list[str]:
    """Return the keys of all panels of an arrangement."""
    if isinstance(node, str):
        return [node]
    if isinstance(node, Tabs):
        return list(node.keys)
    return [key for _, child in node.children for key in leaves(child)]


def arrange(host: QMainWindow, panels: PanelSet, node: Node) -> None:
    """Put the panels where `node` says and hide the others."""
    for panel in panels:
        panel.setFloating(False)
        host.removeDockWidget(panel)
    first = panels.panel(leaves(node)[0])
    host.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, first)
    _split(host, panels, node)
    for key in leaves(node):
        panels.panel(key).show()
    _raise_fronts(panels, node)


def _split(host: QMainWindow, panels: PanelSet, node: Node) -> None:
    if isinstance(node, Tabs):
        for key in node.keys[1:]:
            host.tabifyDockWidget(panels.panel(node.keys[0]), panels.panel(key))
        return
    if isinstance(node, str):
        return
    way = Qt.Orientation.Horizontal if node.across else Qt.Orientation.Vertical
    firsts = [panels.panel(leaves(child)[0]) for _, child in node.children]
    for before, after in pairwise(firsts):
        host.splitDockWidget(before, after, way)
    for _, child in node.children:
        _split(host, panels, child)


def _raise_fronts(panels: PanelSet, node: Node) -> None:
    if isinstance(node, Tabs):
        panels.panel(node.keys[0]).raise_()
    elif isinstance(node, Split):
        for _, child in node.children:
            _raise_fronts(panels, child)


def resize(host: QMainWindow, panels: PanelSet, node: Node, width: int, height: int) -> None:
    """Give every panel its share of `width` x `height` pixels; the host must be visible."""
    if not isinstance(node, Split):
        return
    way = Qt.Orientation.Horizontal if node.across else Qt.Orientation.Vertical
    gaps = 8 * (len(node.children) - 1)
    room = max((width if node.across else height) - gaps, 1)
    total = sum(share for share, _ in node.children)
    sizes = [max(round(room * share / total), 1) for share, _ in node.children]
    docks: Sequence[QDockWidget] = [
        panels.panel(_speaker(child, node.across)) for _, child in node.children
    ]
    host.resizeDocks(list(docks), sizes, way)
    for (_, child), size in zip(node.children, sizes, strict=True):
        if node.across:
            resize(host, panels, child, size, height)
        else:
            resize(host, panels, child, width, size)


def _speaker(node: Node, across: bool) -> str:
    """Return a panel whose nearest split in this direction is the one around `node`."""
    if isinstance(node, str):
        return node
    if isinstance(node, Tabs):
        return node.keys[0]
    if node.across != across:
        for _, child in node.children:
            found = _speaker(child, across)
            if not isinstance(child, Split) or child.across != across:
                return found
    return leaves(node)[0]


def reachable(panels: PanelSet) -> list[Panel]:
    """Return the panels that are on screen."""
    return [panel for panel in panels if panel.isVisible()]
