"""The bench with the real engine: every command of the window ends here, in the worker thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gui.models.interest import Interest
from gui.models.layout import Array
from gui.models.snapshot import RunInfo, Snapshot, State
from gui.worker import runs
from gui.worker.breaks import Breaks
from gui.worker.debuggee import OUTPUT, Debuggee
from gui.worker.mailbox import Command, Notice
from gui.worker.pictures import (
    Library,
    Sample,
    fit_pixels,
    read_picture,
    sample_of,
    sample_of_array,
    synthetic,
)
from gui.worker.player import Player
from gui.worker.snapshots import Moment, Snapshots
from gui.worker.thread import Outlets
from gui.worker.training import Trainer

if TYPE_CHECKING:
    from engine import Scheduler
    from engine.data import DataLoader
    from engine.debug.position import Position

PLAYING_S = 1 / 30
TRAINING_S = 0.1
"""Between two pictures: as fast as they can be drawn, or as often as a training can spare."""


@dataclass
class Desk:
    """Everything that belongs to the open run."""

    scheduler: Scheduler
    info: RunInfo
    sample: Sample
    debuggee: Debuggee
    snapshots: Snapshots
    trainer: Trainer | None = None
    program: str = "forward"


class EngineBench:
    """Owner of scheduler and session.

    Parameters
    ----------
    outlets : Outlets
    """

    def __init__(self, outlets: Outlets) -> None:
        self._outlets = outlets
        self._library = Library(outlets.tasks.put)
        self._desk: Desk | None = None
        self._breaks = Breaks()
        self._player = Player()
        self._warmup = runs.Warmup(outlets.tasks.put)
        self._reason, self._message, self._steps = "", "", 0
        self._running = False
        self._stale = False
        self._random = np.random.default_rng()

    # --- what the thread asks -------------------------------------------------------------------

    @property
    def trainer(self) -> Trainer | None:
        """The training, if one was begun."""
        return self._desk.trainer if self._desk is not None else None

    @property
    def training(self) -> bool:
        """Whether a training runs."""
        return self.trainer is not None and self.trainer.running

    @property
    def busy(self) -> bool:
        """True while something goes on by itself."""
        return self.training or self._player.playing

    @property
    def yields(self) -> bool:
        """A training rests after a command; playing is itself what the person looks at."""
        return self.training

    @property
    def interval_s(self) -> float:
        """Seconds between two pictures."""
        return TRAINING_S if self.training else PLAYING_S

    @property
    def state(self) -> State:
        """What the status line says."""
        if self._desk is None:
            return "loading"
        if self.training:
            return "training"
        return "running" if self._player.playing or self._running else "paused"

    def handle(self, command: Command) -> None:
        """Carry out a command by its name."""
        handler: Callable[..., None] = getattr(self, f"do_{command.name}")
        handler(*command.arguments)

    def work(self) -> None:
        """Go on with what runs by itself."""
        desk = self._open()
        if self.training and desk.trainer is not None:
            desk.trainer.work()
            self._stale = True
            if not desk.trainer.running:
                self._after_training()
        elif self._player.playing:
            self._note(self._player.work(desk.debuggee.session))

    def snapshot(self, interest: Interest) -> Snapshot | None:
        """Return a picture of now."""
        if self._desk is None:
            return None
        if self._stale:
            # While training the pinned picture goes through the new weights each time.
            self._stale = False
            self._desk.debuggee.refresh()
            self._desk.snapshots.moved()
        moment = Moment(self.state, self._reason, self._message, self._breaks.rows(), self._steps)
        return self._desk.snapshots.make(interest, moment)

    def interrupt(self) -> None:
        """Make a resume or a training piece return soon; called from the window's thread."""
        desk = self._desk
        if desk is None:
            return
        desk.debuggee.session.pause()
        if desk.trainer is not None:
            desk.trainer.interrupt()

    def close(self) -> None:
        """Leave everything in order."""
        if self.trainer is not None:
            self.trainer.close()
        self._desk = None

    def _open(self) -> Desk:
        from engine.errors import StateError

        if self._desk is None:
            raise StateError("no run is open; open one with Ctrl+O")
        return self._desk

    # --- opening and saving ---------------------------------------------------------------------

    def do_open_default(self) -> None:
        """Open the bundled net on the first picture of the test set."""
        path = runs.bundled_run()
        self._use(runs.open_run(path, self._outlets.tasks.put), str(path), None)

    def do_open_run(self, path: str) -> None:
        """Open a run file; the present one stays if that fails."""
        self._use(runs.open_run(Path(path), self._outlets.tasks.put), path, None)

    def do_save_run(self, path: str) -> None:
        """Save the scheduler."""
        from engine import save

        save(self._open().scheduler, path)
        self._outlets.notices.put(Notice("info", f"{Path(path).name} is saved."))

    def do_fresh(self) -> None:
        """Start again from random weights."""
        desk = self._open()
        seed = int(self._random.integers(2**31))
        self._use(runs.fresh(desk.scheduler, seed), desk.info.path, desk.sample)

    def _use(self, scheduler: Scheduler, path: str, sample: Sample | None) -> None:
        sizes = self._library.sizes(scheduler.model.input_shape)
        info = runs.describe(scheduler, path, sizes, self._library)
        if sample is None or sample.x.shape[1:] != tuple(info.input_shape):
            sample = self._first_sample(info)
        runs.compile_forward(scheduler, self._outlets.tasks.put)
        debuggee = Debuggee(scheduler.model, sample)
        debuggee.session.step_over()  # the load: the cursor stands before the first layer
        if self.trainer is not None:
            self.trainer.close()
        self._player.stop()
        self._breaks.clear()
        self._desk = Desk(scheduler, info, sample, debuggee, Snapshots(info, debuggee))
        self._reason, self._message, self._steps = "start", "", 0
        self._outlets.runs.put(info)
        if info.can_train:
            self._library.preload()
            self._warmup.start(scheduler)
        for scalar in runs.history(scheduler):
            self._outlets.scalars.put(scalar)

    def _first_sample(self, info: RunInfo) -> Sample:
        if info.dataset_sizes:
            return sample_of(self._library.get("test"), "test", 0)
        picture = synthetic("noise", 0, info.input_shape)
        return sample_of_array(picture, "noise", "synthetic")

    # --- the picture ----------------------------------------------------------------------------

    def do_show_sample(self, name: str, number: int) -> None:
        """Show a picture of a set."""
        self._show(sample_of(self._library.get(name), name, number))

    def do_move_sample(self, name: str, move: str, label: int) -> None:
        """Show another picture of a set: the next, previous or a random one, or a mistake."""
        desk = self._open()
        dataset = self._library.get(name or "test")
        where, _, text = desk.sample.picture.source.partition("#")
        now = int(text) if where == name and text.isdigit() else -1
        predict = desk.scheduler.predict if move == "mistake" else None
        number = runs.find_sample(dataset, now, move, label, self._random, predict)
        self._show(sample_of(dataset, name or "test", number))

    def do_show_picture(self, picture: Array, title: str, source: str) -> None:
        """Show what was drawn; the cursor stays at its place."""
        shape = self._open().info.input_shape
        x = np.asarray(picture, np.float32).reshape((1, *picture.shape[-2:]))
        if x.shape != tuple(shape):
            x, _ = fit_pixels(picture, shape)
        self._show(sample_of_array(x, title, source))

    def do_use_pixels(self, pixels: Array, title: str) -> None:
        """Show a pasted picture."""
        x, stages = fit_pixels(pixels, self._open().info.input_shape)
        self._show(sample_of_array(x, title, "file"))
        self._outlets.answers.put(("stages", stages))

    def do_open_image(self, path: str) -> None:
        """Show a picture file."""
        x, stages = read_picture(path, self._open().info.input_shape)
        self._show(sample_of_array(x, Path(path).name, "file"))
        self._outlets.answers.put(("stages", stages))

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

    def _rebuild(self, program: str) -> None:
        """Make a new session for the present weights and picture, before its first layer."""
        desk = self._open()
        self._leave()
        if program == "training" and desk.info.can_train:
            self._warmup.wait()
            loader = self._loader()
            debuggee = Debuggee(desk.scheduler.model, desk.sample, desk.scheduler, loader)
        else:
            program = "forward"
            debuggee = Debuggee(desk.scheduler.model, desk.sample)
        debuggee.session.step_over()  # the load: the cursor stands before the first layer
        self._player.stop()
        desk.program, desk.debuggee = program, debuggee
        desk.snapshots.use(debuggee)
        self._breaks.attach(debuggee.session)
        self._reason, self._message = "start", ""

    def _leave(self) -> None:
        """Take back a training step that is half done, so that no weight keeps half an update."""
        debuggee = self._open().debuggee
        if debuggee.program == "training" and not debuggee.session.at_end:
            at = debuggee.session.position
            debuggee.session.run_to(replace(at.at_operation(), phase="load", operation=0))

    def _loader(self) -> DataLoader:
        """Return the batches of the run, the same for training and for stepping."""
        desk = self._open()
        return runs.training_loader(desk.scheduler, self._library.get("train"))

    # --- stepping -------------------------------------------------------------------------------

    def do_set_program(self, program: str) -> None:
        """Step a forward pass, or whole training steps."""
        if program != self._open().program:
            self._halt()
            self._rebuild(program)

    def do_step(self, kind: str, picked: tuple[int, ...] | None) -> None:
        """Step over, into, out or back."""
        session = self._session()
        if kind == "into" and picked is not None:
            at = session.program.operations[session.position.operation]
            session.pick(at.layer, picked)
            try:
                self._note(session.step_into())
            finally:
                session.pick(None)
            return
        self._note(getattr(session, f"step_{kind}")())

    def do_resume(self) -> None:
        """Run to the next breakpoint or to the end."""
        self._run(self._session().resume)

    def do_reverse_resume(self) -> None:
        """Run back to the breakpoint before."""
        self._run(self._session().reverse_resume)

    def do_next_nan(self) -> None:
        """Run to the first NaN or Inf."""
        session = self._session()
        point = session.add_breakpoint(when="any_nonfinite")
        try:
            self._run(session.resume)
        finally:
            session.remove_breakpoint(point)
        if self._reason == "end":
            self._message = "No NaN and no Inf up to the end."
            self._outlets.notices.put(Notice("info", self._message))

    def do_restart(self) -> None:
        """Stand before the first layer again."""
        desk = self._open()
        self._halt()
        self._rebuild(desk.program)

    def do_run_to(
        self,
        layer: str,
        tensor: str | None = None,
        index: tuple[int, ...] | None = None,
        term: int | None = None,
    ) -> None:
        """Run to a layer, or to a term of one of its elements."""
        desk, session = self._open(), self._session()
        phase = runs.phase_of(tensor, session.position.phase, desk.program)
        row = desk.debuggee.operation(layer, phase)
        runs.check_index(desk.debuggee, layer, tensor or OUTPUT, index)
        place = runs.operation_position(session.position, row)
        if index is not None:
            result = tensor if tensor in row.results else row.results[0]
            inside = session.inside(row)
            place = inside.at_index(place, result, index).at_term(term or 0)
        self._note(session.run_to(place))

    def do_run_to_position(self, place: Position) -> None:
        """Run to a place, forwards or back."""
        self._note(self._session().run_to(place))

    def do_run_to_term(self, term: int) -> None:
        """Run to a term of the element at the cursor, if there is one."""
        session = self._session()
        if session.position.level in ("pixel", "term"):
            self._note(session.run_to(session.position.at_term(term)))

    def do_play(self, speed: float) -> None:
        """Step by itself so many times a second; 0 stands still."""
        if speed > 0:
            self._player.play(speed, self._session().position.level)
        else:
            self._player.stop()

    def do_pause(self) -> None:
        """Stand still."""
        self._halt()

    def _session(self) -> Any:
        """Return the session for a stepping command; a training is paused first."""
        if self.training:
            self._halt()
        return self._open().debuggee.session

    def _halt(self) -> None:
        self._player.stop()
        if self.training and self.trainer is not None:
            self.trainer.pause()
            self._after_training()

    def _run(self, function: Callable[[], Any]) -> None:
        self._running = True
        try:
            self._note(function())
        finally:
            self._running = False

    def _note(self, stop: Any) -> None:
        """Take a stop: where the run stands and why."""
        if stop is None:
            return
        desk = self._open()
        desk.snapshots.moved()
        self._steps += 1
        self._reason, self._message = stop.reason, stop.message

    # --- breakpoints ----------------------------------------------------------------------------

    def do_add_breakpoint(
        self, number: int, layer: str | None, phase: str | None, when: str | None, hits: int
    ) -> None:
        """Add a breakpoint under the window's number."""
        self._breaks.add(self._open().debuggee.session, number, layer, phase, when, hits)

    def do_remove_breakpoint(self, number: int) -> None:
        """Remove a breakpoint."""
        self._breaks.remove(self._open().debuggee.session, number)

    def do_enable_breakpoint(self, number: int, enabled: bool) -> None:
        """Switch a breakpoint on or off."""
        self._breaks.enable(self._open().debuggee.session, number, enabled)

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
        self._warmup.wait()
        if desk.trainer is None:
            desk.trainer = Trainer(
                desk.scheduler,
                self._loader(),
                self._library.get("test"),
                self._outlets.scalars.put,
                self._outlets.tasks.put,
            )
        if desk.program == "training":
            self._leave()
            desk.debuggee = Debuggee(desk.scheduler.model, desk.sample)
            desk.snapshots.use(desk.debuggee)
        desk.debuggee.pin()
        desk.trainer.start(steps, epochs)
        self._reason, self._message = "", ""

    def do_train_pause(self) -> None:
        """Stand still after the piece in progress."""
        self._halt()

    def do_train_stop(self) -> None:
        """End the training; the next one begins a new piece of the same run."""
        self._halt()

    def _after_training(self) -> None:
        """Debug the pinned picture with the new weights."""
        desk = self._open()
        self._stale = False
        self._rebuild(desk.program)

    # --- the rest -------------------------------------------------------------------------------

    def do_export_npy(self, path: str, layer: str, tensor: str) -> None:
        """Write the exact numbers of a tensor."""
        from engine.errors import StateError

        array, _, _ = self._open().debuggee.read(layer, tensor)
        if array is None:
            raise StateError(f"{layer}.{tensor} is not computed yet; run to it first")
        with Path(path).open("wb") as file:
            np.save(file, array, allow_pickle=False)
        self._outlets.notices.put(Notice("info", f"{Path(path).name} is written."))

    def do_set_speed(self, speed: float) -> None:
        """Change the speed of playing."""
        if self._player.playing:
            self._player.play(speed, None)
