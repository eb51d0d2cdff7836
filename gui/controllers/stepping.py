"""Stepping, playing, and which element is looked at."""

from __future__ import annotations

from functools import partial

from PyQt6.QtWidgets import QDialog

from gui.controllers.desk import Desk
from gui.models.interest import PANELS
from gui.models.snapshot import RunInfo, Snapshot, StackFrame
from gui.views.dialogs import GoToDialog

CANVAS_RUNS = ("canvas.over", "canvas.back", "canvas.into", "canvas.out", "canvas.play")


def parse_index(text: str) -> tuple[int, ...]:
    """Return the integers of ``"5, 7, 4"`` or ``"[5 7 4]"``.

    Raises
    ------
    ValueError
        If there is anything else in the text, or nothing.
    """
    parts = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    if not parts:
        raise ValueError("no index given; write for example 5, 7, 4")
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        raise ValueError(f"{text!r} is no index; write for example 5, 7, 4") from None


class Stepping:
    """Turns keys, clicks and the speed slider into commands."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        for kind in ("over", "into", "out", "back"):
            desk.on(f"debug.{kind}", partial(self.step, kind))
        for kind in ("over", "back", "out", "into"):
            desk.on(f"canvas.{kind}", partial(self.step, kind))
        desk.send("debug.resume", "resume")
        desk.send("debug.reverse_resume", "reverse_resume")
        desk.send("debug.next_nan", "next_nan")
        desk.on("debug.pause", self.pause)
        desk.on("debug.stop", self.restart)
        desk.on("debug.play", self.toggle_play)
        desk.on("canvas.play", self.toggle_play)
        desk.on("debug.follow", desk.selection.follow)
        desk.on("debug.to_cursor", lambda: self.run_to_selection(False))
        desk.on("debug.pixel", lambda: self.run_to_selection(True))
        desk.on("debug.goto", self.ask_place)
        desk.on("canvas.layer_up", lambda: self.move_layer(-1))
        desk.on("canvas.layer_down", lambda: self.move_layer(1))
        for name, rows, columns in (
            ("up", -1, 0),
            ("down", 1, 0),
            ("left", 0, -1),
            ("right", 0, 1),
        ):
            desk.on(
                f"canvas.pick_{name}",
                partial(self.move_pick, rows, columns),
            )
        self._connect_views()
        desk.selection.changed.connect(self.tell_interest)
        desk.playback.changed.connect(self._play_changed)
        desk.session.run_changed.connect(self._new_run)
        desk.session.state_changed.connect(self._state)
        for program in ("forward", "training"):
            desk.send(f"program.{program}", "set_program", program)
        desk.session.snapshot_changed.connect(self._programs)
        for panel in desk.panels:
            panel.shown_changed.connect(lambda _key, _shown: self.tell_interest())

    def _connect_views(self) -> None:
        desk, panels = self._desk, self._desk.panels
        panels.stack.frame_shown.connect(self.show_frame)
        panels.stack.frame_reached.connect(self.reach_frame)
        panels.stack.program_chosen.connect(
            lambda program: desk.worker.submit("set_program", program)
        )
        panels.network.layer_shown.connect(self.show_layer)
        panels.network.layer_reached.connect(lambda layer: self._run_to(layer, None, None))
        panels.mosaic.channel_picked.connect(self.pick_channel)
        panels.mosaic.tensor_chosen.connect(self.choose_tensor)
        panels.watch.tensor_chosen.connect(self.choose_tensor)
        panels.map.picked.connect(self.pick_element)
        panels.map.debug_wanted.connect(self.debug_element)
        panels.window.term_reached.connect(lambda term: desk.worker.submit("run_to_term", term))
        panels.kernels.kernel_picked.connect(self._pick_kernel)
        desk.toolbar.speed_changed.connect(desk.playback.set_speed)

    # --- what is looked at ----------------------------------------------------------------------

    def visible_panels(self) -> frozenset[str]:
        """Return the keys of the panels on screen."""
        return frozenset(
            panel.key for panel in self._desk.panels if panel.on_screen and panel.key in PANELS
        )

    def tell_interest(self) -> None:
        """Tell the worker what to compute from now on."""
        interest = self._desk.selection.interest(self.visible_panels())
        self._desk.worker.submit("interest", interest)

    def _new_run(self, _run: RunInfo) -> None:
        self._desk.selection.kernel = (0, 0)
        self.tell_interest()

    def show_layer(self, layer: str) -> None:
        """Look at a layer; the run stays where it is."""
        self._desk.selection.select(layer)

    def show_frame(self, frame: StackFrame) -> None:
        """Look at what a frame of the stack speaks of; the current one follows the cursor."""
        if frame.state == "current":
            self._desk.selection.follow()
        elif frame.layer:
            self._desk.selection.select(frame.layer, frame.tensor or None)

    def reach_frame(self, frame: StackFrame) -> None:
        """Run to a frame of the stack."""
        if frame.position is not None:
            self._desk.selection.follow()
            self._desk.worker.submit("run_to_position", frame.position)

    def choose_tensor(self, tensor: str) -> None:
        """Look at another tensor of the shown layer."""
        snapshot = self._desk.session.snapshot
        if snapshot is not None and tensor in snapshot.tensors:
            self._desk.selection.select(snapshot.layer, tensor)

    def _pick_kernel(self, output: int, inputs: int) -> None:
        self._desk.selection.kernel = (output, inputs)

    def _place(self) -> tuple[int, int, int]:
        """Return (map, row, column) of what is picked, also if no picture of it came yet."""
        snapshot, selection = self._desk.session.snapshot, self._desk.selection
        if snapshot is None or snapshot.maps is None:
            return (0, 0, 0)
        same = (selection.layer, selection.tensor) == (snapshot.layer, snapshot.tensor)
        index = selection.index if same and selection.index is not None else snapshot.index
        return snapshot.maps.layout.place(index)

    def pick_channel(self, channel: int) -> None:
        """Look at another map, at the same place."""
        _, row, column = self._place()
        self._pick(channel, row, column)

    def pick_element(self, row: int, column: int) -> None:
        """Look at an element of the shown map."""
        self._pick(self._place()[0], row, column)

    def move_pick(self, rows: int, columns: int) -> None:
        """Move the picked element by one."""
        channel, row, column = self._place()
        self._pick(channel, row + rows, column + columns)

    def _pick(self, channel: int, row: int, column: int) -> None:
        snapshot = self._desk.session.snapshot
        if snapshot is None or snapshot.maps is None:
            return
        index = snapshot.maps.layout.index(channel, row, column, snapshot.maps.sample)
        self._desk.selection.select(snapshot.layer, snapshot.tensor, index)

    def move_layer(self, step: int) -> None:
        """Look at the layer before or after."""
        run, layer = self._desk.session.run, self._desk.layer
        if run is None:
            return
        names = [node.name for node in run.nodes]
        if layer in names:
            place = min(max(names.index(layer) + step, 0), len(names) - 1)
            self.show_layer(names[place])

    # --- running --------------------------------------------------------------------------------

    def step(self, kind: str) -> None:
        """Step; what is shown follows the cursor again, but an `into` may go to the picked one."""
        desk, snapshot = self._desk, self._desk.session.snapshot
        desk.playback.set_playing(False)
        picked = desk.selection.index
        cursor = snapshot.cursor if snapshot is not None else None
        inward = (
            kind == "into"
            and picked is not None
            and cursor is not None
            and cursor.level == "operation"
            and desk.selection.layer == cursor.layer
            and desk.selection.tensor in (None, "output")
        )
        desk.worker.submit("step", kind, picked if inward else None)
        desk.selection.follow()

    def debug_element(self, row: int, column: int) -> None:
        """Run to an element of the shown map and go to its first term."""
        self.pick_element(row, column)
        self.run_to_selection(True)

    def run_to_selection(self, inside: bool) -> None:
        """Run to the selected layer, or to the first term of the selected element."""
        snapshot = self._desk.session.snapshot
        if snapshot is None:
            return
        layer = self._desk.selection.layer or snapshot.layer
        tensor = self._desk.selection.tensor or snapshot.tensor
        index = self._desk.selection.index
        if inside and index is None:
            index = snapshot.index
        self._run_to(layer, tensor, index if inside or index is not None else None)

    def _run_to(self, layer: str, tensor: str | None, index: tuple[int, ...] | None) -> None:
        self._desk.worker.submit("run_to", layer, tensor, index)
        self._desk.selection.follow()

    def ask_place(self) -> None:
        """Ask for an element and look at it."""
        run = self._desk.session.run
        if run is None:
            return
        names = [node.name for node in run.nodes]
        dialog = GoToDialog(names, self._desk.layer, self._desk.window, self.check_place)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.go_to(*dialog.answer())

    def _element(self, layer: str, text: str) -> tuple[int, ...] | None:
        """Return the index that a text means in a layer; None without one.

        Raises
        ------
        ValueError
            With the sentence for the person.
        """
        run = self._desk.session.run
        node = run.node(layer) if run is not None else None
        if node is None:
            known = ", ".join(item.name for item in run.nodes) if run is not None else "none"
            raise ValueError(f"{layer!r} is no layer; there are {known}")
        if not text.strip():
            return None
        index = parse_index(text)
        if len(index) == len(node.shape):
            index = (0, *index)
        if len(index) != len(node.shape) + 1 or any(
            not 0 <= i < n for i, n in zip(index[1:], node.shape, strict=True)
        ):
            sizes = ", ".join(str(size) for size in node.shape)
            raise ValueError(f"{layer}: expected an index below ({sizes}), received {text.strip()}")
        return index

    def check_place(self, layer: str, text: str) -> str:
        """Return what is wrong with a place, or an empty text."""
        try:
            self._element(layer, text)
        except ValueError as error:
            return str(error)
        return ""

    def go_to(self, layer: str, text: str) -> None:
        """Look at an element; a bad index is told in one line."""
        try:
            index = self._element(layer, text)
        except ValueError as error:
            self._desk.notify("warning", str(error), "")
            return
        self._desk.selection.select(layer, "output", index)

    def pause(self) -> None:
        """Stand still as soon as possible, whatever runs."""
        self._desk.playback.set_playing(False)
        self._desk.worker.interrupt()
        self._desk.worker.submit("pause")

    def restart(self) -> None:
        """Go back to the start of the pass."""
        self._desk.playback.set_playing(False)
        self._desk.worker.interrupt()
        self._desk.worker.submit("restart")
        self._desk.selection.follow()

    def toggle_play(self) -> None:
        """Play or pause."""
        playing = not self._desk.playback.playing
        if playing:
            self._desk.selection.follow()
        self._desk.playback.set_playing(playing)

    def _play_changed(self) -> None:
        playback = self._desk.playback
        self._desk.entries["debug.play"].setChecked(playback.playing)
        self._desk.toolbar.show_speed(playback.speed)
        self._desk.settings.speed = playback.speed
        self._desk.worker.submit("play", playback.speed if playback.playing else 0.0)

    def _state(self, state: str) -> None:
        if state in ("paused", "failed") and self._desk.playback.playing:
            snapshot = self._desk.session.snapshot
            if snapshot is None or snapshot.reason in ("breakpoint", "end"):
                self._desk.playback.set_playing(False)
        stepping = state != "training"
        for action_id, action in self._desk.entries.items():
            runs = action_id.startswith("debug.") or action_id in CANVAS_RUNS
            if runs and action_id not in ("debug.pause", "debug.goto", "debug.follow"):
                action.setEnabled(stepping)

    def _programs(self, snapshot: Snapshot) -> None:
        for program in ("forward", "training"):
            self._desk.entries[f"program.{program}"].setChecked(snapshot.program == program)
