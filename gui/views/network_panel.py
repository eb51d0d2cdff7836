"""The network: a box per layer with its newest maps."""

from __future__ import annotations

from PyQt6.QtCore import QPoint, pyqtSignal

from gui.models.snapshot import NodeInfo, RunInfo, Thumbnail
from gui.views.panel import Panel
from gui.widgets.network_strip import NetworkStrip, StripNode


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for the reader: ``16×10×10``."""
    return "×".join(str(size) for size in shape)


class NetworkPanel(Panel):
    """Boxes from left to right, built from the graph of any model."""

    layer_shown = pyqtSignal(str)
    layer_reached = pyqtSignal(str)
    menu_wanted = pyqtSignal(str, QPoint)

    def __init__(self) -> None:
        super().__init__("network", "Network", (820, 128), (260, 96))
        self.view = NetworkStrip()
        self.view.set_empty_text("The layers appear here once a run is open.")
        self.put(self.view)
        self.view.selected.connect(self.layer_shown)
        self.view.activated.connect(self.layer_reached)
        self.view.context_requested.connect(self.menu_wanted)

    def show_run(self, run: RunInfo) -> None:
        """Build the boxes of a newly opened run."""
        self.view.set_nodes([self._node(node) for node in run.nodes])
        self.head.set_detail(
            f"{run.parameters:,} parameters · badges: ok run, D dead units, N NaN or Inf"
        )

    def _node(self, node: NodeInfo) -> StripNode:
        return StripNode(node.name, node.kind, shape_text(node.shape), "", "", tuple(node.inputs))

    def show_thumbnails(self, thumbnails: tuple[Thumbnail, ...]) -> None:
        """Show the newest maps of the layers."""
        for item in thumbnails:
            self.view.set_thumbnail(item.name, item.maps, item.mode)
            self.view.set_badge(item.name, item.badge)
            self.view.set_note(item.name, item.note)

    def show_place(self, cursor: str | None, selected: str | None) -> None:
        """Mark the layer that runs next and the one that is looked at."""
        self.view.set_cursor(cursor)
        self.view.set_selected(selected)
