"""Brings a snapshot to the panels, a few milliseconds at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from gui.controllers.desk import Desk
from gui.models.snapshot import RunInfo, Snapshot

BUDGET_S = 0.008
"""Panels are filled one after the other; after this long the rest waits for the next frame."""


class Show:
    """Knows which part of a snapshot belongs to which panel.

    A panel is filled only if it is on screen and its part is new, most wanted panels first; so a
    frame never costs more than one panel beyond the budget, whatever the size of the window.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: list[Callable[[], None]] = []
        self._last: Snapshot | None = None
        self._kernel: tuple[int, int] | None = None
        desk.session.run_changed.connect(self._show_run)
        desk.session.snapshot_changed.connect(self._take)

    def _show_run(self, run: RunInfo) -> None:
        panels = self._desk.panels
        self._last = None
        panels.network.show_run(run)
        panels.input.dataset.show_run(run)
        panels.curves.reset()

    def refresh(self) -> None:
        """Fill every visible panel anew: one became visible, or the theme changed."""
        self._last = None
        if self._desk.session.snapshot is not None:
            self._take(self._desk.session.snapshot)

    def _take(self, snapshot: Snapshot) -> None:
        old, self._last = self._last, snapshot
        desk = self._desk
        same = old is not None and (old.layer, old.tensor) == (snapshot.layer, snapshot.tensor)
        parts: list[tuple[bool, Callable[[], None]]] = [
            (
                old is None
                or old.window is not snapshot.window
                or (old.message, old.bad, old.reason)
                != (snapshot.message, snapshot.bad, snapshot.reason),
                self._window,
            ),
            (old is None or old.maps is not snapshot.maps or not same, self._map),
            (old is None or old.frames is not snapshot.frames, self._stack),
            (old is None or old.maps is not snapshot.maps or not same, self._mosaic),
            (
                old is None or old.picture is not snapshot.picture or old.box != snapshot.box,
                self._input,
            ),
            (old is None or old.words is not snapshot.words, self._words),
            (
                old is None
                or old.layer != snapshot.layer
                or old.cursor is None
                or snapshot.cursor is None
                or old.cursor.layer != snapshot.cursor.layer,
                self._place,
            ),
            (old is None or old.thumbnails is not snapshot.thumbnails, self._thumbnails),
            (old is None or old.locals is not snapshot.locals, self._locals),
            (old is None or old.prediction is not snapshot.prediction, self._prediction),
            (
                old is None
                or old.kernels is not snapshot.kernels
                or self._kernel != desk.selection.kernel
                or (old.index, old.weight) != (snapshot.index, snapshot.weight),
                self._kernels,
            ),
            (
                old is None
                or (old.breakpoints, old.message, old.state)
                != (snapshot.breakpoints, snapshot.message, snapshot.state),
                self._breakpoints,
            ),
        ]
        fresh = [function for new, function in parts if new]
        if snapshot.state == "training":
            # Turn by turn: with more panels than frames between two pictures, none may starve.
            self._waiting += [function for function in fresh if function not in self._waiting]
        else:
            wanted = [*fresh, *self._waiting]
            self._waiting = [function for _, function in parts if function in wanted]

    def draw(self) -> None:
        """Fill waiting panels until the budget of this frame is spent.

        Filling is cheap, painting is not, and Qt paints all that was filled in one go. While a
        training runs, a frame fills one panel, so that the window always answers in between.
        """
        end = time.perf_counter() + BUDGET_S
        one_each = self._last is not None and self._last.state == "training"
        while self._waiting:
            self._waiting.pop(0)()
            if one_each or time.perf_counter() > end:
                return

    def finish(self) -> None:
        """Fill all waiting panels at once."""
        while self._waiting:
            self._waiting.pop(0)()

    # --- one function for each panel ------------------------------------------------------------

    @property
    def _now(self) -> Snapshot:
        snapshot = self._last
        if snapshot is None:
            raise RuntimeError("nothing to show")
        return snapshot

    def _window(self) -> None:
        panel, now = self._desk.panels.window, self._now
        if panel.on_screen:
            ahead = now.maps is not None and now.maps.ahead and now.cursor is not None
            tail = "computed ahead of the cursor" if ahead and now.window is not None else ""
            panel.show_content(now.window, tail, self._missing())
            panel.show_message(now.message if now.state != "training" else "", now.bad)

    def _missing(self) -> str:
        """Say what an empty panel waits for."""
        now = self._now
        name = f"{now.layer}.{now.tensor}"
        return f"{name} is not computed yet: the {now.phase} phase of this step brings it."

    def place(self) -> tuple[int, int, int]:
        """Return the shown element as (map, row, column)."""
        now = self._last
        if now is None or now.maps is None:
            return (0, 0, 0)
        return now.maps.layout.place(now.index)

    def _map(self) -> None:
        if self._desk.panels.map.on_screen:
            self._desk.panels.map.show_map(self._now.maps, self.place(), self._missing())

    def _mosaic(self) -> None:
        panel, now = self._desk.panels.mosaic, self._now
        if panel.on_screen:
            panel.show_tensors(now.tensors, now.tensor)
            panel.show_maps(now.maps, self.place()[0], (now.layer, self._missing()))

    def _stack(self) -> None:
        now = self._now
        if self._desk.panels.stack.on_screen and now.frames is not None:
            self._desk.panels.stack.show_frames(now.frames, now.program)

    def _input(self) -> None:
        panel, now = self._desk.panels.input, self._now
        if now.picture is not None:
            panel.show_picture(now.picture)
            panel.show_box(now.box)
            where, _, number = now.picture.source.partition("#")
            if number.isdigit():
                panel.dataset.show_number(where, int(number))

    def _words(self) -> None:
        if self._desk.panels.explanation.on_screen:
            self._desk.panels.explanation.show_words(self._now.words)

    def _place(self) -> None:
        now = self._now
        if self._desk.panels.network.on_screen:
            cursor = now.cursor.layer if now.cursor is not None else None
            self._desk.panels.network.show_place(cursor, now.layer or None)

    def _thumbnails(self) -> None:
        now = self._now
        if self._desk.panels.network.on_screen and now.thumbnails is not None:
            self._desk.panels.network.show_thumbnails(now.thumbnails)

    def _locals(self) -> None:
        now = self._now
        if self._desk.panels.watch.on_screen and now.locals is not None:
            self._desk.panels.watch.show_locals(now.layer, now.locals)

    def _prediction(self) -> None:
        if self._desk.panels.prediction.on_screen:
            self._desk.panels.prediction.show_prediction(self._now.prediction)

    def _kernels(self) -> None:
        self._kernel = chosen = self._desk.selection.kernel
        kernels = self._now.kernels
        if kernels is not None and not kernels.borrowed and self._now.tensor == "output":
            chosen = (self.place()[0], chosen[1])  # the kernel that makes the shown map
        if self._desk.panels.kernels.on_screen:
            self._desk.panels.kernels.show_kernels(kernels, chosen, self._now.weight)

    def _breakpoints(self) -> None:
        now = self._now
        message = now.message if now.reason == "breakpoint" else ""
        training = now.state == "training"
        self._desk.panels.breakpoints.show_rows(now.breakpoints, message, training)
