"""The status line: the element under the pointer, else the one that is picked or runs next."""

from __future__ import annotations

import time
from collections.abc import Callable

from gui.controllers.desk import Desk
from gui.controllers.poll import tasks_text
from gui.models.snapshot import Box, Snapshot
from gui.models.state import left_text
from gui.widgets.numbers import MINUS, format_number


def place_text(layer: str, tensor: str, index: tuple[int, ...], batched: bool = True) -> str:
    """Return ``conv2.output[5,7,4]``; the sample axis is left out where there is one."""
    inner = index[1:] if batched and len(index) > 1 else index
    return f"{layer}.{tensor}[{','.join(str(i) for i in inner)}]"


def field_text(box: Box | None) -> str:
    """Return the receptive field for the reader, with its last row and column."""
    if box is None:
        return ""
    top, left, bottom, right = box
    text = f"receptive field rows {top}–{bottom - 1}, cols {left}–{right - 1}"
    return text.replace("-", MINUS)


class Status:
    """Writes the line: what is under the pointer, else the element that is shown."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._hover: Callable[[], None] | None = None
        self._hovered: object = None
        self._steps, self._since = 0, time.perf_counter()
        desk.session.snapshot_changed.connect(self._snapshot)
        desk.session.state_changed.connect(self._state)
        desk.activity.changed.connect(self._tasks)
        panels = desk.panels
        panels.mosaic.hovered.connect(self._hover_map)
        panels.map.hovered.connect(self._hover_element)
        for panel in (panels.mosaic, panels.map, panels.kernels, panels.input):
            panel.hover_left.connect(self._leave)
        panels.kernels.hovered.connect(self._hover_kernel)
        panels.input.hovered.connect(self._hover_pixel)

    def _snapshot(self, snapshot: Snapshot) -> None:
        """Write anew; what a resting pointer is on is asked of its view once that is filled."""
        if self._hover is not None and self._hovered == self._under(snapshot):
            self._hover()
        else:
            self._hover = None
            self.write()
        self._rate(snapshot)

    @staticmethod
    def _under(snapshot: Snapshot) -> object:
        """Return what has to stay as it is for a place of a view to mean the same element."""
        kernels, picture = snapshot.kernels, snapshot.picture
        return (
            snapshot.layer,
            snapshot.tensor,
            None if snapshot.maps is None else snapshot.maps.layout,
            None if kernels is None else (kernels.layer, kernels.name, kernels.kernels.shape),
            None if picture is None else picture.image.shape,
        )

    def _rest_on(self, hover: Callable[[], None]) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is not None:
            self._hover, self._hovered = hover, self._under(snapshot)
            hover()

    def _state(self, state: str) -> None:
        self._desk.status.show_state(state)
        self._steps = 0
        if state not in ("training", "running"):
            self._desk.status.show_rate("")

    def _rate(self, snapshot: Snapshot) -> None:
        """Say how fast the run goes, as long as it goes by itself."""
        if snapshot.state == "training":
            speed = self._desk.curves.samples_per_second
            parts = [f"{speed:,.0f} samples/s"] if speed else []
            if snapshot.viewer is not None:
                parts.append(f"viewer {100 * snapshot.viewer:.1f} %")
            self._desk.status.show_rate(" · ".join(parts))
            return
        now = time.perf_counter()
        if snapshot.state != "running" or not self._steps:
            self._steps, self._since = snapshot.steps, now
        elif now - self._since > 0.5:
            rate = (snapshot.steps - self._steps) / (now - self._since)
            self._desk.status.show_rate(f"{rate:,.0f} steps/s")
            self._steps, self._since = snapshot.steps, now

    def _tasks(self) -> None:
        running = self._desk.activity.running
        activity = self._desk.activity
        left = {task.key: left_text(activity.left_s(task)) for task in running}
        self._desk.status.show_tasks(tasks_text(running, left[running[0].key] if running else ""))
        self._desk.panels.activity.show_tasks(list(activity.tasks.values()), left)

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
        self._rest_on(lambda: self._element(self._channel(), row, column))

    def _hover_map(self, channel: int, row: int, column: int) -> None:
        self._rest_on(lambda: self._element(channel, row, column))

    def write(self) -> None:
        """Write the picked element, or the one that runs next."""
        snapshot = self._desk.session.snapshot
        if snapshot is None:
            return
        if snapshot.maps is None:
            place = f"{snapshot.layer}.{snapshot.tensor}: not computed yet"
            self._desk.status.show_place(place, self._window_text(snapshot))
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
        gradient = "" if maps.tensor != "output" else "grad —"
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
        self._rest_on(lambda: self._kernel(output, inputs, row, column))

    def _kernel(self, output: int, inputs: int, row: int, column: int) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.kernels is None:
            return
        kernels = snapshot.kernels
        value = format_number(float(kernels.kernels[output, inputs, row, column]), 6)
        place = f"{kernels.layer}.{kernels.name}[{output},{inputs},{row},{column}] = {value}"
        self._desk.status.show_place(place, "")

    def _hover_pixel(self, row: int, column: int) -> None:
        self._rest_on(lambda: self._pixel(row, column))

    def _pixel(self, row: int, column: int) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.picture is None:
            return
        image = snapshot.picture.image
        rows, columns = image.shape[-2:]
        if 0 <= row < rows and 0 <= column < columns:
            values = image.reshape(-1, rows, columns)[:, row, column]
            text = ", ".join(format_number(float(value), 4) for value in values)
            self._desk.status.show_place(f"input[{row},{column}] = {text}", "")
