"""The bench with the real engine: every command of the window ends here, in the worker thread."""

from __future__ import annotations

import gc
import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from gui.models.layout import Array
from gui.models.state import Task
from gui.worker import runs
from gui.worker.debuggee import Debuggee
from gui.worker.mailbox import Notice
from gui.worker.pictures import (
    Sample,
    sample_of,
    sample_of_array,
    synthetic,
)
from gui.worker.stepping import SteppingCommands

NONFINITE = ("any_nonfinite", "loss_nonfinite")
"""Conditions that a training stops at by itself."""


class EngineBench(SteppingCommands):
    """The commands that open, show, train and save."""

    _told_breakpoints: tuple[str, ...] = ()

    def do_open_default(self) -> None:
        """Open the bundled net on the first picture of the test set."""
        path = runs.bundled_run()
        self._use(runs.open_run(path, self._outlets.tasks.put), str(path), None)

    def do_open_run(self, path: str) -> None:
        """Open a run file; the present one stays if that fails."""
        self._use(runs.open_run(Path(path), self._outlets.tasks.put), path, None)

    def do_open_last(self, path: str) -> None:
        """Open the run of last time; if that is no longer possible, say so and open the bundled."""
        from engine.errors import EngineError

        try:
            self.do_open_run(path)
        except EngineError as error:
            self._outlets.notices.put(Notice("warning", f"The run of last time: {error}"))
            self.do_open_default()

    def do_recover(self, path: str, title: str, origin: str, base: int) -> None:
        """Go on with a run that was kept when a window ended; see `keeping`."""
        scheduler = runs.open_run(Path(path), self._outlets.tasks.put)
        self._use(scheduler, origin, None, title, base)
        self._keeper.keep()

    def do_save_run(self, path: str) -> str:
        """Save the scheduler, with the evaluation of an epoch that lacks it."""
        from engine import save

        desk = self._open()
        if desk.trainer is not None:
            desk.trainer.finish()
        save(desk.scheduler, path)
        desk.info = replace(desk.info, path=path, title=Path(path).stem)
        self._keeper.follow(desk.scheduler, desk.info.title, path)
        self._keeper.forget()
        self._outlets.notices.put(Notice("info", f"{Path(path).name} is saved."))
        return path

    def do_fresh(self, seed: int | None = None) -> None:
        """Start again from random weights."""
        desk = self._open()
        self._halt()
        self._warmup.wait(self._outlets.check)
        if seed is None:
            seed = runs.preferences().seed
        if seed is None:
            seed = int(self._random.integers(2**31))
        self._use(runs.fresh(desk.scheduler, seed), desk.info.path, desk.sample, desk.info.title)

    # --- what is not saved ----------------------------------------------------------------------

    def do_keep_at(self, path: str) -> None:
        """Keep what is not saved in this file."""
        self._keeper.path = Path(path)

    def do_settle(self) -> int | None:
        """Stand still; return how many steps are not saved, or None if all is."""
        if self._desk is None:
            return None
        self._halt()
        return self._keeper.steps if self._keeper.unsaved else None

    def do_keep(self) -> None:
        """Write the copy of what is not saved now."""
        self._keeper.keep()

    def do_give_up(self) -> None:
        """Lose what is not saved: the person said so."""
        self._keeper.give_up()

    # --- the picture ----------------------------------------------------------------------------

    def do_show_sample(self, name: str, number: int) -> None:
        """Show a picture of a set."""
        record = self._open().scheduler.record
        self._show(sample_of(self._library.get(name), name, number, record))

    def do_move_sample(self, name: str, move: str, label: int) -> None:
        """Show another picture of a set: the next, previous or a random one, or a mistake."""
        desk = self._open()
        dataset = self._library.get(name or "test")
        where, _, text = desk.sample.picture.source.partition("#")
        now = int(text) if where == name and text.isdigit() else -1
        record = desk.scheduler.record

        def scores(x: Array) -> Array:
            found: Array = desk.scheduler.predict(record.prepared(x))
            return found

        predict = scores if move == "mistake" else None
        try:
            number = runs.find_sample(
                dataset, now, move, label, self._random, predict, self._searching
            )
        finally:
            if move == "mistake":
                self._outlets.tasks.put(Task("mistake", "Next mistake", "", 1, 1, True))
        self._show(sample_of(dataset, name or "test", number, record))

    def _searching(self, done: int, total: int) -> None:
        """Say how far a search is; give it up if the person wants that."""
        self._outlets.check()
        self._outlets.tasks.put(Task("mistake", "Looking for a mistake", "", done, total))

    def do_show_picture(self, picture: Array, title: str, source: str) -> None:
        """Show what was drawn and prepared; the cursor stays at its place."""
        desk = self._open()
        record, shape = desk.scheduler.record, tuple(desk.info.input_shape)
        x = np.asarray(picture, np.float32).reshape((1, *picture.shape[-2:]))
        if x.shape == (shape if record.look is None else record.look.shape):
            x = record.prepared(x[np.newaxis])[0]
        else:
            x = record.picture(picture, shape, name=title).x
        self._show(sample_of_array(x, title, source))

    def do_use_pixels(self, pixels: Array, title: str) -> None:
        """Show a pasted picture."""
        self._take(pixels, title)

    def do_open_image(self, path: str) -> None:
        """Show a picture file."""
        self._take(Path(path), Path(path).name)

    def _take(self, picture: Path | Array, title: str) -> None:
        """Show a picture as the run takes it, and tell what was done to it."""
        from engine.data.preparing import NotRecorded, Preparation

        desk = self._open()
        record, shape = desk.scheduler.record, tuple(desk.info.input_shape)
        try:
            ready = record.picture(picture, shape, name=title)
        except NotRecorded:
            if not desk.info.can_train:
                raise
            # What the bundled digits fit is taken for a reader of digits, as for drawing.
            ready = record.picture(picture, shape, Preparation.digit, title)
        self._show(sample_of_array(ready.x, title, "file"))
        self._outlets.answers.put(("stages", " → ".join(ready.steps)))

    def do_synthetic(self, kind: str, amount: int) -> None:
        """Show a picture made by rule."""
        picture = synthetic(kind, amount, self._open().info.input_shape)
        self._show(sample_of_array(picture, f"{kind} {amount}", "synthetic"))

    def _show(self, sample: Sample) -> None:
        """Debug another picture, at the same place of the program."""
        desk = self._open()
        desk.sample = sample
        if desk.program == "forward" or self.training:
            desk.debuggee.show(sample)
            desk.snapshots.moved()
        else:
            self._rebuild("forward")

    # --- training -------------------------------------------------------------------------------

    def do_train(self, steps: int, epochs: int) -> None:
        """Train a number of steps or epochs, or (0, 0) until paused."""
        from engine.errors import StateError

        desk = self._open()
        if not desk.info.can_train:
            raise StateError(
                "this net cannot be trained here: no bundled data fit its input and output"
            )
        self._player.stop()
        self._warmup.wait(self._outlets.check)
        trainer = self._trainer()
        self._tell_breakpoints()
        if desk.program == "training":
            self._leave()
            desk.debuggee = Debuggee(desk.scheduler.model, desk.sample)
            desk.snapshots.use(desk.debuggee)
        desk.debuggee.pin()
        # The compiler leaves hundreds of thousands of objects for ever. Out of the sight of
        # the collector, they no longer cost the window a pause of 0.1 s now and then.
        gc.freeze()
        trainer.start(steps, epochs)
        self._train_s = self._view_s = 0.0
        self._reason, self._message = "", ""

    def _tell_breakpoints(self) -> None:
        """Say once of each list of breakpoints that a training runs past them."""
        waiting = tuple(
            row.text
            for row in self._breaks.rows()
            if row.enabled and not (self._stop_at_bad and row.when in NONFINITE)
        )
        if waiting and waiting != self._told_breakpoints:
            what = "The breakpoint acts" if len(waiting) == 1 else "Breakpoints act"
            self._outlets.notices.put(
                Notice("warning", f"{what} while stepping only; this training runs past.")
            )
        self._told_breakpoints = waiting

    def do_set_rate(self, rate: float | None, epochs: int) -> None:
        """Go on with another learning rate: a constant, or the cosine over more epochs."""
        desk = self._open()
        batches = self._trainer().batches if rate is None else 0
        runs.set_rate(desk.scheduler, rate, epochs * batches - desk.scheduler.batch)

    def do_stop_at_bad(self, stop: bool) -> None:
        """Stop a training at numbers that are not finite, or let it go on."""
        self._stop_at_bad = stop
        if self.trainer is not None:
            self.trainer.stop_at_bad = stop

    def do_train_pause(self) -> None:
        """Stand still after the piece in progress."""
        self._halt()

    def do_train_stop(self) -> None:
        """End the training; the next one begins a new piece of the same run."""
        self._halt()

    # --- the rest -------------------------------------------------------------------------------

    def do_export_npy(self, path: str, layer: str, tensor: str) -> None:
        """Write the exact numbers of a tensor."""
        from engine.errors import StateError
        from engine.io.files import write_whole

        array, _, _ = self._open().debuggee.read(layer, tensor)
        if array is None:
            raise StateError(f"{layer}.{tensor} is not computed yet; run to it first")
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        write_whole(path, content.getvalue())
        self._outlets.notices.put(Notice("info", f"{Path(path).name} is written."))

    def do_set_speed(self, speed: float) -> None:
        """Change the speed of playing."""
        if self._player.playing:
            self._player.play(speed, None)
