"""The maps of a tensor: all of them as a mosaic, and the selected one with its numbers."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import pyqtSignal

from gui.models.layout import Array, own_limits
from gui.models.snapshot import MapsView
from gui.views.panel import Panel, fit_list, flat_button, flat_list
from gui.widgets.map_view import MapView
from gui.widgets.mosaic import MosaicView


def revealed_cells(
    count: int | None, maps_shape: tuple[int, int, int], channel: int
) -> Array | None:
    """Return which cells of one map are computed when `count` elements are; None means all."""
    if count is None:
        return None
    _, rows, columns = maps_shape
    plane = rows * columns
    inside = min(max(count - channel * plane, 0), plane)
    return (np.arange(plane) < inside).reshape(rows, columns)


class MosaicPanel(Panel):
    """All maps of the selected tensor."""

    channel_picked = pyqtSignal(int)
    hovered = pyqtSignal(int, int, int)
    hover_left = pyqtSignal()
    tensor_chosen = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__("mosaic", "Maps", (300, 260), (160, 120))
        self.view = MosaicView()
        self.view.set_empty_text("The maps of the selected layer appear here.")
        self.put(self.view)
        self.tensor = flat_list("Tensor", "Which tensor of the layer is shown")
        self.head.add_control(self.tensor)
        self.tensor.activated.connect(self._choose)
        self.view.selected.connect(self.channel_picked)
        self.view.activated.connect(self.channel_picked)
        self.view.hovered.connect(self.hovered)
        self.view.hover_left.connect(self.hover_left)
        self._tensors: tuple[str, ...] = ()

    def _choose(self, row: int) -> None:
        self.tensor_chosen.emit(self.tensor.itemText(row))

    def show_tensors(self, tensors: tuple[str, ...], chosen: str) -> None:
        """Fill the list of tensors of the layer."""
        if tensors != self._tensors:
            self._tensors = tensors
            self.tensor.clear()
            self.tensor.addItems(tensors)
            fit_list(self.tensor)
        place = self.tensor.findText(chosen)
        if place >= 0 and place != self.tensor.currentIndex():
            self.tensor.setCurrentIndex(place)

    def show_maps(self, maps: MapsView | None, channel: int, missing: tuple[str, str]) -> None:
        """Show the maps.

        Parameters
        ----------
        maps : MapsView or None
            None says that the tensor is not computed yet.
        channel : int
            The selected map.
        missing : (layer, sentence)
            What the head and the empty panel say then.
        """
        if maps is None:
            self.view.set_empty_text(missing[1])
            self.view.set_maps(None)
            self.head.set_title(missing[0])
            self.head.set_detail("")
            return
        count, rows, columns = maps.layout.maps_shape
        self.head.set_title(f"{maps.layer} · {count} {maps.layout.noun}{'s' * (count != 1)}")
        kernels = maps.layout.noun == "kernel"
        names = [maps.layout.name(number) for number in range(count)] if kernels else None
        self.view.set_maps(maps.maps, maps.mode, names, limits=maps.limits)
        size = f"{rows}×{columns}"
        self.head.set_detail(" · ".join(part for part in (size, self.view.unit()) if part))
        if maps.revealed is None:
            self.view.set_revealed(None)
        else:
            finished = maps.revealed // max(rows * columns, 1)
            partial = revealed_cells(maps.revealed, maps.layout.maps_shape, finished)
            self.view.set_revealed(finished, partial if finished < count else None)
        self.view.set_selected(channel)
        inside = maps.cursor is not None and maps.cursor[0] >= 0
        self.view.set_cursor(maps.cursor[0] if inside and maps.cursor else None)


class MapPanel(Panel):
    """The selected map, crisp and with numbers."""

    picked = pyqtSignal(int, int)
    debug_wanted = pyqtSignal(int, int)
    hovered = pyqtSignal(int, int)
    hover_left = pyqtSignal()

    def __init__(self) -> None:
        super().__init__("map", "Map", (480, 260), (200, 120))
        self.view = MapView()
        self.view.set_empty_text("Pick a map on the left to see its numbers.")
        self.put(self.view)
        self.scope = flat_list(
            "Scope of the colour scale",
            "Whether one colour scale holds for all maps of the layer or for this one",
            ("scale: layer", "scale: map"),
        )
        self.head.add_control(self.scope)
        fit = flat_button("Fit", "Fit the map into the panel")
        one = flat_button("1:1", "One screen pixel per element")
        fit.clicked.connect(self.view.fit)
        one.clicked.connect(self.view.one_to_one)
        self.head.add_control(one)
        self.head.add_control(fit)
        self.scope.currentIndexChanged.connect(self._again)
        self.view.picked.connect(self.picked)
        self.view.debug_requested.connect(self.debug_wanted)
        self.view.hovered.connect(self.hovered)
        self.view.hover_left.connect(self.hover_left)
        self._last: tuple[MapsView | None, tuple[int, int, int], str] = (None, (0, 0, 0), "")

    def _again(self) -> None:
        self.show_map(*self._last)

    def show_map(
        self, maps: MapsView | None, place: tuple[int, int, int], missing: str = ""
    ) -> None:
        """Show one map of the tensor and mark the picked element `place` = (map, y, x).

        `missing` is what the empty panel says if there are no maps.
        """
        self._last = (maps, place, missing)
        if maps is None:
            self.view.set_empty_text(missing or "Pick a map on the left to see its numbers.")
            self.view.set_map(None)
            self.head.set_title("Map")
            self.head.set_detail("")
            return
        channel, row, column = place
        one = maps.maps[channel]
        limits, scope = maps.limits, maps.scope
        if self.scope.currentIndex() == 1:
            limits, scope = own_limits(one, maps.mode), "map"
        self.head.set_title(f"{maps.layout.noun} {maps.layout.name(channel)}")
        title = f"{maps.layer}.{maps.tensor}[{channel}]"
        self.view.set_map(one, maps.mode, limits, "", scope, title)
        unit = f"cells {self.view.unit()}" if self.view.unit() else ""
        parts = (maps.tensor, "ahead" if maps.ahead else "", unit)
        self.head.set_detail(" · ".join(part for part in parts if part))
        self.view.set_revealed(revealed_cells(maps.revealed, maps.layout.maps_shape, channel))
        self.view.set_pick(row, column)
        cursor = maps.cursor
        if cursor is not None and cursor[0] == channel and cursor[1] >= 0:
            self.view.set_cursor(cursor[1], max(cursor[2], 0))
        else:
            self.view.set_cursor(None)
