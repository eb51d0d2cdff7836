"""The status line: the element under the pointer, else the one that is picked or runs next."""

from __future__ import annotations

import time

from gui.controllers.desk import Desk
from gui.controllers.poll import tasks_text
from gui.models.snapshot import Box, Snapshot
from gui.widgets.numbers import format_number


def place_text(layer: str, tensor: str, index: tuple[int, ...], batched: bool = True) -> str:
    """Return ``conv2.output[5,7,4]``; the sample axis is left out where there is one."""
    inner = index[1:] if batched and len(index) > 1 else index
    return f"{layer}.{tensor}[{','.join(str(i) for i in inner)}]"


def field_text(box: Box | None) -> str:
    """Return the receptive field for the reader, with its last row and column."""
    if box is None:
        return ""
    top, left, bottom, right = box
    return f"receptive field rows {top}–{bottom - 1}, cols {left}–{right - 1}"


class Status:
    """Writes the line."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._hover: tuple[int, int, int] | None = None
        self._frames = 0
        self._since = time.perf_counter()
        desk.session.snapshot_changed.connect(self._snapshot)
        desk.session.state_changed.connect(desk.status.show_state)
        desk.activity.changed.connect(self._tasks)
        panels = desk.panels
        panels.mosaic.hovered.connect(self._hover_map)
        panels.map.hovered.connect(self._hover_element)
        for panel in (panels.mosaic, panels.map, panels.kernels, panels.input):
            panel.hover_left.connect(self._leave)
        panels.kernels.hovered.connect(self._hover_kernel)
        panels.input.hovered.connect(self._hover_pixel)

    def _snapshot(self, snapshot: Snapshot) -> None:
        self._frames += 1
        if self._hover is None:
            self.write()
        else:
            self._element(*self._hover)
        now = time.perf_counter()
        if now - self._since > 1.0:
            rate = self._frames / (now - self._since)
            parts = [f"{rate:.0f} fps"] if rate >= 1.5 else []
            if snapshot.viewer is not None:
                parts.insert(0, f"viewer {100 * snapshot.viewer:.1f} %")
            self._desk.status.show_rate(" · ".join(parts))
            self._frames, self._since = 0, now

    def _tasks(self) -> None:
        running = self._desk.activity.running
        self._desk.status.show_tasks(tasks_text(running))
        self._desk.panels.activity.show_tasks(list(self._desk.activity.tasks.values()))

    def _leave(self) -> None:
        self._hover = None
        self.write()
        snapshot = self._desk.session.snapshot
        if snapshot is not None:
            self._desk.panels.input.show_box(snapshot.box)

    def _channel(self) -> int:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.maps is None:
            return 0
        return snapshot.maps.layout.place(snapshot.index)[0]

    def _hover_element(self, row: int, column: int) -> None:
        self._hover_map(self._channel(), row, column)

    def _hover_map(self, channel: int, row: int, column: int) -> None:
        self._hover = (channel, row, column)
        self._element(channel, row, column)

    def write(self) -> None:
        """Write the picked element, or the one that runs next."""
        snapshot = self._desk.session.snapshot
        if snapshot is None:
            return
        if snapshot.maps is None:
            self._desk.status.show_place(snapshot.layer, self._window_text(snapshot))
            return
        self._element(*snapshot.maps.layout.place(snapshot.index), picked=True)

    def _element(self, channel: int, row: int, column: int, picked: bool = False) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.maps is None:
            return
        maps = snapshot.maps
        count, rows, columns = maps.layout.maps_shape
        if not (0 <= channel < count and 0 <= row < rows and 0 <= column < columns):
            return
        index = maps.layout.index(channel, row, column, maps.sample)
        value = format_number(float(maps.maps[channel, row, column]), 6)
        mark = " (ahead)" if maps.ahead else ""
        place = place_text(maps.layer, maps.tensor, index, maps.layout.batched)
        gradient = "grad —"
        if maps.gradient is not None:
            gradient = f"grad {format_number(float(maps.gradient[channel, row, column]), 6)}"
        box = snapshot.box if picked else None
        if box is None and snapshot.field is not None and maps.layout.batched:
            box = (
                snapshot.field.box(row, column)
                if len(maps.layout.inner) > 1
                else (snapshot.field.box(0, 0))
            )
        parts = [gradient, field_text(box), self._window_text(snapshot)]
        self._desk.status.show_place(
            f"{place} = {value}{mark}", "   ".join(part for part in parts if part)
        )
        if not picked:
            self._desk.panels.input.show_box(box)

    def _window_text(self, snapshot: Snapshot) -> str:
        run = self._desk.session.run
        node = run.node(snapshot.layer) if run is not None else None
        return node.settings if node is not None else ""

    def _hover_kernel(self, output: int, inputs: int, row: int, column: int) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.kernels is None:
            return
        kernels = snapshot.kernels
        value = format_number(float(kernels.kernels[output, inputs, row, column]), 6)
        place = f"{kernels.layer}.{kernels.name}[{output},{inputs},{row},{column}] = {value}"
        self._desk.status.show_place(place, "")

    def _hover_pixel(self, row: int, column: int) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.picture is None:
            return
        image = snapshot.picture.image
        rows, columns = image.shape[-2:]
        if 0 <= row < rows and 0 <= column < columns:
            values = image.reshape(-1, rows, columns)[:, row, column]
            text = ", ".join(format_number(float(value), 4) for value in values)
            self._desk.status.show_place(f"input[{row},{column}] = {text}", "")
