"""What every command of the bench works with: the open run, its session and its training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gui.models.interest import Interest
from gui.models.snapshot import RunInfo, Snapshot, State, TrainingFacts
from gui.worker import runs
from gui.worker.breaks import Breaks
from gui.worker.debuggee import Debuggee
from gui.worker.keeping import Keeper
from gui.worker.mailbox import Command, Notice
from gui.worker.pictures import Library, Sample, sample_of, sample_of_array, synthetic
from gui.worker.player import Player
from gui.worker.snapshots import Moment, Snapshots
from gui.worker.thread import Outlets
from gui.worker.training import Trainer

if TYPE_CHECKING:
    from engine import Scheduler

PLAYING_S = 1 / 30
TRAINING_S = 0.1
"""Between two pictures: as fast as they can be drawn, or as often as a training can spare."""
HUNTED = 2
"""Batches in which a bad number is looked for after a training has met one."""


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


class BenchCore:
    """Owner of scheduler and session; the commands stand in the classes built on it.

    Parameters
    ----------
    outlets : Outlets
    prepare : bool
        Read the training set and compile the kernels of training in the background.
    """

    def __init__(self, outlets: Outlets, prepare: bool = True) -> None:
        self._prepare = prepare
        self._outlets = outlets
        self._library = Library(outlets.tasks.put, self._describe)
        self._desk: Desk | None = None
        self._breaks = Breaks()
        self._player = Player()
        self._warmup = runs.Warmup(outlets.tasks.put)
        self._keeper = Keeper(outlets.notices.put)
        self._keep_now = False
        self._stop_at_bad = True
        self._reason, self._message, self._steps = "", "", 0
        self._bad = False
        self._running = False
        self._stale = False
        self._train_s = self._view_s = 0.0
        self._random = np.random.default_rng()

    def _describe(self, name: str, text: str, warnings: tuple[str, ...]) -> None:
        """Tell what is in a set; called by the thread that reads it."""
        self._outlets.answers.put(("described", (name, text)))
        for warning in warnings:
            self._outlets.notices.put(Notice("warning", f"{name} set: {warning}"))

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

    def handle(self, command: Command) -> object:
        """Carry out a command by its name."""
        handler: Callable[..., object] = getattr(self, f"do_{command.name}")
        return handler(*command.arguments)

    def work(self) -> None:
        """Go on with what runs by itself."""
        desk = self._open()
        if self.training and desk.trainer is not None:
            start = time.perf_counter()
            desk.trainer.work()
            self._train_s += time.perf_counter() - start
            self._stale = True
            if not desk.trainer.running:
                self._after_training()
        elif self._player.playing:
            self._note(self._player.work(desk.debuggee.session))

    def snapshot(self, interest: Interest) -> Snapshot | None:
        """Return a picture of now."""
        if self._desk is None:
            return None
        start = time.perf_counter()
        if self._stale:
            # While training the pinned picture goes through the new weights each time.
            self._stale = False
            self._desk.debuggee.refresh()
            self._desk.snapshots.moved()
        share = self._view_s / max(self._train_s + self._view_s, 1e-9) if self.training else None
        moment = Moment(
            state=self.state,
            reason=self._reason,
            message=self._message,
            breakpoints=self._breaks.rows(),
            steps=self._steps,
            bad=self._bad,
            viewer=share,
        )
        made = replace(self._desk.snapshots.make(interest, moment), facts=self._facts())
        if self.training:
            self._view_s += time.perf_counter() - start
        return made

    def _facts(self) -> TrainingFacts | None:
        desk = self._open()
        if not desk.info.can_train:
            return None
        batches = -(-desk.info.dataset_sizes.get("train", 0) // runs.TRAINED_BATCH)
        return runs.facts(desk.scheduler, batches, self._keeper.steps)

    def rest(self) -> None:
        """Keep what is not saved: at once after a training has come to stand, else now and then."""
        if self._keep_now and not self.training:
            self._keep_now = False
            self._keeper.keep()
        else:
            self._keeper.keep_if_due()

    def interrupt(self) -> None:
        """Make a resume or a training piece return soon; called from the window's thread."""
        desk = self._desk
        if desk is None:
            return
        desk.debuggee.session.pause()
        if desk.trainer is not None:
            desk.trainer.interrupt()

    def close(self) -> None:
        """Leave everything in order; what is not saved, and not given up, is kept."""
        self._warmup.close()
        self._keeper.keep()
        if self.trainer is not None:
            self.trainer.close()
        self._desk = None

    def _open(self) -> Desk:
        from engine.errors import StateError

        if self._desk is None:
            raise StateError("no run is open; open one with Ctrl+O")
        return self._desk

    # --- opening and leaving --------------------------------------------------------------------

    def _use(
        self,
        scheduler: Scheduler,
        path: str,
        sample: Sample | None,
        title: str = "",
        base: int | None = None,
    ) -> None:
        """Put a run on the desk; `base` is the step of its file if the run is ahead of that."""
        sizes = self._library.sizes(scheduler)
        info = runs.describe(scheduler, path, sizes, self._library)
        if title:
            info = replace(info, title=title)
        if sample is None or sample.x.shape[1:] != tuple(info.input_shape):
            sample = self._first_sample(info, scheduler)
        runs.compile_forward(scheduler, self._outlets.tasks.put)
        debuggee = Debuggee(scheduler.model, sample)
        debuggee.session.step_over()  # the load: the cursor stands before the first layer
        if self.trainer is not None:
            self.trainer.close()
        self._player.stop()
        self._breaks.clear()
        self._desk = Desk(scheduler, info, sample, debuggee, Snapshots(info, debuggee))
        self._reason, self._message, self._steps = "start", "", 0
        self._bad = False
        self._keeper.forget()
        self._keeper.follow(scheduler, info.title, info.path, base)
        self._outlets.runs.put(info)
        if info.can_train and self._prepare:
            self._library.preload()
            self._warmup.start(scheduler)
        for scalar in runs.history(scheduler):
            self._outlets.scalars.put(scalar)

    def _first_sample(self, info: RunInfo, scheduler: Scheduler) -> Sample:
        if info.dataset_sizes:
            return sample_of(self._library.get("test"), "test", 0, scheduler.record)
        picture = synthetic("noise", 0, info.input_shape)
        return sample_of_array(picture, "noise", "synthetic")

    def _rebuild(self, program: str) -> None:
        """Make a new session for the present weights and picture, before its first layer."""
        desk = self._open()
        if program == "training" and desk.info.can_train:
            self._warmup.wait(self._outlets.check)
            trainer = self._trainer()
            self._leave()
            trainer.finish()
            debuggee = Debuggee(desk.scheduler.model, desk.sample, desk.scheduler, trainer.loader)
        else:
            self._leave()
            program = "forward"
            debuggee = Debuggee(desk.scheduler.model, desk.sample)
        debuggee.session.step_over()  # the load: the cursor stands before the first layer
        self._player.stop()
        desk.program, desk.debuggee = program, debuggee
        desk.snapshots.use(debuggee)
        self._breaks.attach(debuggee.session)
        self._reason, self._message, self._bad = "start", "", False

    def _leave(self) -> None:
        """Take back a training step that is half done, so that no weight keeps half an update."""
        debuggee = self._open().debuggee
        if debuggee.program == "training" and not debuggee.session.at_end:
            at = debuggee.session.position
            debuggee.session.run_to(replace(at.at_operation(), phase="load", operation=0))

    def _trainer(self) -> Trainer:
        """Return what trains the run, and holds the batches, the same for training and stepping."""
        desk = self._open()
        if desk.trainer is None:
            desk.trainer = Trainer(
                desk.scheduler,
                runs.training_loader(desk.scheduler, self._library.get("train")),
                self._library.get("test"),
                self._outlets.scalars.put,
                self._outlets.tasks.put,
                self._outlets.wanted,
            )
        desk.trainer.stop_at_bad = self._stop_at_bad
        return desk.trainer

    # --- for the commands -----------------------------------------------------------------------

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
        self._outlets.check()
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
        desk.snapshots.looks.spot = None
        self._steps += 1
        self._reason, self._message, self._bad = stop.reason, stop.message, False

    def _after_training(self) -> None:
        """Debug the pinned picture with the new weights, or the step that spoils them."""
        desk = self._open()
        self._stale = False
        self._keep_now = True
        if desk.trainer is not None and desk.trainer.bad:
            self._hunt()
        else:
            self._rebuild(desk.program)

    def _hunt(self) -> None:
        """Put the cursor on the first bad number of the step that a training could not make."""
        desk = self._open()
        self._rebuild("training")
        session = desk.debuggee.session
        own, session.breakpoints = session.breakpoints, []
        session.add_breakpoint(when="any_nonfinite")
        try:
            self._note(session.resume(HUNTED))
        finally:
            session.breakpoints = own
        found = self._message if self._reason == "breakpoint" else "the loss is not finite"
        text = (
            f"Training stopped before step {desk.scheduler.global_step + 1:,} counts. {found}. The "
            "debugger stands there; Preferences can switch this stop off."
        )
        self._outlets.notices.put(Notice("stop", text))
