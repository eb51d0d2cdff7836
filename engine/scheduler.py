"""Scheduler: runs training steps, and can be paused, resumed and stopped from any thread."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from engine import arguments, config, metrics
from engine.arguments import MOST_STEPS
from engine.data import DataLoader
from engine.data.sources import as_batches, as_dataset, batches_of, is_loader, length
from engine.errors import ConfigurationError, DataError, ShapeError, StateError
from engine.events import (
    Compiling,
    EpochFinished,
    EvaluationProgress,
    Event,
    FitFinished,
    FitStarted,
    Paused,
    Resumed,
    StepFinished,
)
from engine.history import History
from engine.layers.norm import single_value_norms, single_value_problem
from engine.losses import Loss
from engine.model import PREDICT_BATCH, Model
from engine.optimizers import Optimizer
from engine.precision import check_rate, check_rates, check_settings
from engine.program import Moments, Program
from engine.record import RunRecord
from engine.schedules import Schedule
from engine.stopping import ENDED_EARLY, EarlyStopping, Watch
from engine.typing import Array

Listener = Callable[[Event], None]
A_LOSS = "a loss such as CrossEntropyLoss()"
AN_OPTIMIZER = "an optimiser such as SGD(0.01)"


class Examples(Protocol):
    """Data with answers: ``x`` (n, ...), or a tuple of such arrays, and ``y`` (n, ...)."""

    @property
    def x(self) -> Any:
        """Inputs."""

    @property
    def y(self) -> Any:
        """Targets."""

    def __len__(self) -> int: ...


class Batches(Protocol):
    """A loader whose batches can be fetched in any order; see `engine.data.DataLoader`."""

    dataset: Any

    def batch(self, epoch: int, number: int) -> tuple[Any, Any]:
        """Return one batch: inputs and targets."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns.

    Parameters
    ----------
    loss : float
        The mean over all targets that count, without penalties; NaN if none does.
    accuracy : float or None
        The share of right ones among the `counted` samples; None where targets are not class
        indices, or none is to be judged.
    samples : int
        All, with those of which something could not be judged.
    counted, skipped : int
        Samples with a class that was judged, and samples with a label that the loss ignores.
    nan : int
        Samples whose scores hold NaN; they are never right.
    first_nan : int or None
        The number of the first of them, in the order in which they came.
    note : str
        What could not be counted like the rest, in one line; empty if all was in order.
    """

    loss: float
    accuracy: float | None
    samples: int
    counted: int = 0
    skipped: int = 0
    nan: int = 0
    first_nan: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Everything that training changes, at the start of a step."""

    epoch: int
    batch: int
    global_step: int
    history: tuple[int, ...]
    parameters: dict[str, Array]
    moments: dict[str, tuple[Array, ...]]
    state: dict[str, Array]
    moments_since: int = 0

    @property
    def memory_bytes(self) -> int:
        """Size of the copies."""
        arrays = [*self.parameters.values(), *self.state.values()]
        arrays += [moment for moments in self.moments.values() for moment in moments]
        return sum(array.nbytes for array in arrays)


class Scheduler:
    """Trains a model.

    `step`, `fit` and the stepping of a `Session` exclude each other: the second raises
    `StateError`. Everything else is safe from any thread and any listener meanwhile, and answers
    with the weights of a whole step.

    Parameters
    ----------
    model : Model
    loss : Loss
    optimizer : Optimizer
    convolution : {"direct", "winograd", "winograd2", "winograd4"}, optional
        How the model shall run its convolutions from now on, also outside training; see `Model`.
        None leaves it as it is.

    Attributes
    ----------
    loss, optimizer
        Assign another one, or one of their settings: it is in force from the next step on. A new
        optimizer starts with moments of its own.
    epoch, batch : int
        The next batch to train on; both from 0.
    global_step : int
        Steps made so far.
    history : History
    record : RunRecord
        What the run was made with: classes, loader, preprocessing; `fit` fills it.
    under_way : Snapshot or None
        How things were before the batch that a debugger is half-way through; None between batches.
    watch : Watch or None
        What early stopping has seen so far; None if it was never asked for.
    """

    def __init__(
        self, model: Model, loss: Loss, optimizer: Optimizer, convolution: str | None = None
    ) -> None:
        arguments.instance("Scheduler model", model, Model, "a Model")
        arguments.instance("Scheduler loss", loss, Loss, A_LOSS)
        arguments.instance("Scheduler optimizer", optimizer, Optimizer, AN_OPTIMIZER)
        if convolution is not None:
            model.convolution = convolution
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self.epoch = self.batch = self.global_step = 0
        self.history = History()
        self.record = self._upcoming = RunRecord()
        self.moments_since = 0
        self.moments = self._allocate_moments()
        self.under_way: Snapshot | None = None
        self.watch: Watch | None = None
        self.turns = 0
        self._current: Program | None = None
        self._programs: dict[int, Program] = {}
        self._listeners: list[Listener] = []
        self._running = threading.Event()
        self._running.set()
        self._stop = threading.Event()
        self._busy = threading.Lock()
        self._holder: Any = None
        self._finite: list[weakref.ref[Array]] = []
        self._seen = -1
        self._in_force = (loss, optimizer)
        self._lowered: tuple[Any, ...] = ()
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelt name would otherwise be kept and never looked at.
        known = name.startswith("_") or name in self.__dict__ or hasattr(type(self), name)
        if "_made" in self.__dict__ and not known:
            raise ConfigurationError(
                f"scheduler.{name}: there is no such setting to assign; there are loss and "
                "optimizer"
            )
        if name == "model":
            raise ConfigurationError(
                "scheduler.model: fixed when the scheduler was made; make a new Scheduler"
            )
        object.__setattr__(self, name, value)

    def _allocate_moments(self) -> Moments:
        arena = self.model.backend.arena()
        moments: Moments = dict.fromkeys(self.model.parameters, ())
        # Each moment of all parameters side by side, as the parameters are: one update for all.
        for moment in self.optimizer.moments:
            for name, p in self.model.parameters.items():
                buffer = arena.request(f"{name}.{moment}", p.shape, self.model.dtype, p.role)
                moments[name] = (*moments[name], buffer)
        arena.commit()
        return moments

    # -- settings ----------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """What is trained."""
        return self._model

    @property
    def loss(self) -> Loss:
        """What is made small; assign another one for the next step on."""
        return self._loss

    @loss.setter
    def loss(self, value: Loss) -> None:
        self._loss = arguments.instance("scheduler.loss", value, Loss, A_LOSS)
        config.note_change()

    @property
    def optimizer(self) -> Optimizer:
        """What makes it small; another one for the next step on starts with fresh moments."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, value: Optimizer) -> None:
        arguments.instance("scheduler.optimizer", value, Optimizer, AN_OPTIMIZER)
        with self.model.guard.changing():
            self._optimizer = value
            self.moments_since = self.global_step
            self.moments = self._allocate_moments()
            self._programs.clear()
            config.note_change()

    def _renew(self) -> None:
        """Put the settings in force as they are now, for a whole step.

        They may be assigned at any moment from any thread; a step takes copies, so that what was
        lowered and what is calculated per step (rates, targets) belong together.
        """
        now = config.latest_change()
        if now == self._seen:
            return
        loss, optimizer = copy.copy(self._loss), copy.copy(self._optimizer)
        self._check_precision(loss, optimizer)
        self._in_force = loss, optimizer
        settings = (
            self.model.settings(),
            *(self._loss, loss.revision),
            *(self._optimizer, optimizer.revision),
        )
        if settings != self._lowered:
            self._programs.clear()
        self._seen, self._lowered = now, settings

    def _check_precision(self, loss: Loss, optimizer: Optimizer) -> None:
        """Refuse settings that would mean something else in the model's dtype.

        Not when the scheduler is made: whoever reads a run file to predict with it trains nothing.
        """
        dtype, model = self.model.dtype, self.model
        check_settings(loss, dtype)
        check_settings(optimizer, dtype)
        start = self.global_step
        if isinstance(optimizer.learning_rate, Schedule):
            check_rate(optimizer.rate(0), dtype, f"{type(optimizer).__name__} learning_rate(0)")
        for node in model.nodes:
            if node.layer is not None:
                check_settings(node.layer, dtype, node.name)
        for name, parameter in model.parameters.items():
            if parameter.regularizer is not None:
                kind = type(parameter.regularizer).__name__
                check_settings(parameter.regularizer, dtype, f"{name} {kind}")
            if not start:  # later, weights are what training has made of them
                kind = type(parameter.initializer).__name__
                check_settings(parameter.initializer, dtype, f"{name} {kind}")

    # -- listening and controlling -----------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, in the running thread; return what ends that.

        Raises
        ------
        ConfigurationError
            If it cannot be called.
        """
        arguments.function("listen listener", listener, "a function of an event")
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Tell all listeners."""
        for listener in tuple(self._listeners):
            listener(event)

    def pause(self) -> None:
        """Make a running `fit` stand still before its next step."""
        self._running.clear()

    def resume(self) -> None:
        """Let a paused `fit` go on."""
        self._running.set()

    def stop(self) -> None:
        """Make a running (or paused) `fit` return; a long step is abandoned if that is possible.

        An abandoned step did not happen: nothing that outlives a batch has changed.
        """
        self._stop.set()
        self._running.set()
        if self._busy.locked():
            for program in tuple(self._programs.values()):
                program.interrupt()

    @property
    def step_progress(self) -> float:
        """How much of the step under way (or of the last one) is done, 0 to 1, for any thread."""
        return 0.0 if self._current is None else self._current.progress

    @property
    def paused(self) -> bool:
        """Whether `pause` is in force."""
        return not self._running.is_set()

    # -- steps -------------------------------------------------------------------------------

    def program(self, batch: int) -> Program:
        """Return the training program for a batch size, made on first use."""
        self._renew()
        if batch not in self._programs:
            alone = single_value_norms(self.model.nodes, batch)
            if alone:
                raise DataError(
                    f"batch: expected at least 2 samples, received {batch}; {', '.join(alone)} "
                    "would learn nothing from one value per channel"
                )
            if len(self._programs) >= 4:
                self._programs.pop(next(iter(self._programs)))
            loss, optimizer = self._in_force
            program = Program(
                self.model,
                batch,
                training=True,
                loss=loss,
                optimizer=optimizer,
                moments=self.moments,
                progress=lambda name, n, total: self.emit(Compiling(name, n, total)),
            )
            program.prepare()
            self._programs[batch] = program
        return self._programs[batch]

    def load_batch(self, program: Program, x: Any, y: Any) -> None:
        """Write a batch and this step's rates into a program."""
        inputs = self.model.check_inputs(self.model.arrange(x))
        count = length(y, "batch y")
        if len(inputs[0]) != count:
            raise ShapeError(
                f"batch y: expected as many targets as samples ({len(inputs[0])}), received {count}"
            )
        loss, optimizer = self._in_force
        step = self.global_step
        program.loss, program.optimizer = loss, optimizer
        rates = optimizer.rates(step, step - self.moments_since)
        check_rates(rates, self.model.dtype, step)
        program.load(inputs, y, rates, step)

    def step(self, x: Any, y: Any) -> float:
        """Make one training step on one batch.

        Parameters
        ----------
        x : array (n, ...), or for several inputs a tuple of arrays or a dict by name
        y : array (n, ...)

        Returns
        -------
        float
            The loss before the update, penalties included.

        Raises
        ------
        ShapeError, DtypeError, DataError
            If the batch does not fit the model or the loss.
        StateError
            If `fit`, another `step` or a Session is at work.
        """
        with self.exclusive("step"):
            self._leave_half_batch()
            program = self._program_for(x)
            with self.model.guard.changing():
                self.load_batch(program, x, y)
                program.run()
                return self._count_step(program)

    def _program_for(self, x: Any) -> Program:
        """Return the program of a batch's size."""
        samples = self.model.arrange(x)[0]
        if not length(samples, "batch x"):
            raise DataError("step x: expected at least one sample, received none")
        self._current = self.program(length(samples))
        return self._current

    def _count_step(self, program: Program) -> float:
        """Count a step that has run and return its loss."""
        loss = program.loss_value()
        rate = program.optimizer.rate(self.global_step) if program.optimizer else float("nan")
        self.history.book(loss, rate)
        self.global_step += 1
        return loss

    def book(self, program: Program, y: Any) -> tuple[float, int | None, int]:
        """Count a batch of an epoch that has run.

        Returns
        -------
        loss : float
        correct : int or None
            Right predictions; None without classes.
        counted : int
            Samples whose prediction was judged.
        """
        loss = self._count_step(program)
        correct, counted = self.correct_predictions(program, y)
        self.batch += 1
        self.history.tally(correct, counted)
        return loss, correct, counted

    def finish_epoch(self, batches: int, result: Evaluation | None = None) -> float | None:
        """Move to the next epoch and return the accuracy of the one before.

        Parameters
        ----------
        batches : int
            Of an epoch.
        result : Evaluation, optional
            Of the validation set; its accuracy counts, else that in training.
        """
        # At once: a file that is saved meanwhile holds an epoch with its end, or without.
        with self.model.guard.using():
            self.batch, self.epoch = 0, self.epoch + 1
            accuracy = self.history.finish_epoch(batches)
            if result is not None:
                accuracy = result.accuracy
                self.history.validations.append(result.loss)
            if accuracy is not None:
                self.history.accuracies.append(accuracy)
        return accuracy

    def correct_predictions(self, program: Program, y: Array) -> tuple[int | None, int]:
        """Return how many predictions of the batch just run are right, and of how many.

        Samples that the loss ignores are not counted. Without classes nothing is right or wrong:
        (None, 0).
        """
        if program.loss is None or program.loss_site is None:
            return None, 0
        scores = program.loss_site.prediction.read()
        tally = metrics.judge(scores, np.asarray(y), program.loss.ignore_index)
        return (tally.right, tally.counted) if tally.classified else (None, 0)

    @contextlib.contextmanager
    def exclusive(self, who: str, holder: object = None) -> Iterator[bool]:
        """Be the only one who trains; the context is True where it is nested in another one.

        Parameters
        ----------
        who : str
            For the error text.
        holder : object, optional
            Who may nest calls: the same object in the same thread.

        Raises
        ------
        StateError
            If `fit`, `step` or a Session is at work already.
        """
        me = (holder, threading.get_ident())
        if holder is not None and self._holder == me:
            yield True
            return
        if not self._busy.acquire(blocking=False):
            raise StateError(
                f"{who}: this scheduler is already training (a fit, a step or a Session is at "
                "work); wait for its end, or stop() it first"
            )
        self._holder = me
        self.turns += 1
        try:
            yield False
        finally:
            self._holder = None
            self._busy.release()

    def fit(
        self,
        data: Any,
        targets: Any = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        validation: Any = None,
        early_stopping: EarlyStopping | None = None,
        batch_size: int = 32,
        callbacks: Sequence[Listener] = (),
    ) -> History:
        """Train from where the scheduler stands.

        Parameters
        ----------
        data : DataLoader, Dataset, or arrays
            A loader gives its own batches. A Dataset, a pair ``(x, y)``, or `data` and `targets`
            are shuffled (seed: the model's) and cut into batches of `batch_size`.
        targets : array, optional
            Where `data` is an array (or a tuple of arrays, one for each input).
        epochs : int, optional
            Go to the end of this many epochs; a half-done one that is finished counts. Default 1.
        steps : int, optional
            Make this many steps instead, over epoch borders if need be.
        validation : Dataset, DataLoader or (x, y), optional
            Evaluated after every epoch.
        early_stopping : EarlyStopping, optional
            Needs a validation set.
        batch_size : int
            For data that are not a loader.
        callbacks : sequence of callables
            Called with every event, in this thread, until `fit` returns; see `listen`.

        Returns
        -------
        History
            The run's own; where early stopping has gone back, a copy that still has all epochs.

        Raises
        ------
        DataError
            If the data hold NaN or Inf.
        ConfigurationError
            If the settings make no sense.
        StateError
            If this scheduler is training already; or, in the middle of an epoch, if the loader is
            another one than the epoch began with.
        """
        for name, count in (("epochs", epochs), ("steps", steps)):
            if count is not None:
                arguments.whole(f"fit {name}", count, 0, MOST_STEPS)
        arguments.whole("fit batch_size", batch_size, 1)
        if epochs is not None and steps is not None:
            raise ConfigurationError("fit: give epochs or steps, not both")
        if early_stopping is not None:
            expected = "EarlyStopping(...) or None"
            arguments.instance("fit early_stopping", early_stopping, EarlyStopping, expected)
        if early_stopping is not None and validation is None:
            raise ConfigurationError("fit: early_stopping needs a validation set")
        expected = "a sequence of functions of an event"
        given = (callbacks,) if callable(callbacks) else callbacks
        listeners = arguments.ordered("fit callbacks", given, expected)
        for listener in listeners:
            arguments.function("fit callbacks", listener, "functions of an event")
        loader = self._loader(data, targets, batch_size)
        checked = (
            None
            if validation is None
            else as_batches(validation, None, "fit validation", PREDICT_BATCH)
        )
        self._check_data(loader.dataset, "training set")
        problem = single_value_problem(
            self.model.nodes,
            len(loader.dataset),
            getattr(loader, "batch_size", batch_size),
            bool(getattr(loader, "drop_last", False)),
        )
        if problem is not None:
            raise DataError(f"fit: {problem}")
        if checked is not None:
            self._check_data(checked.dataset, "validation set")
        with self.exclusive("fit"), contextlib.ExitStack() as ending:
            for listener in listeners:
                ending.callback(self.listen(listener))
            self._stop.clear()
            self._leave_half_batch()
            self._renew()  # what is wrong with the settings is said before anything begins
            self._upcoming = self.record_with(loader, "fit")
            if checked is not None:
                self._upcoming.seen(checked, "fit validation")
            return self._fit(loader, epochs, steps, checked, early_stopping)

    def _loader(self, data: Any, targets: Any, batch_size: int) -> Batches:
        """Return what `fit` takes its batches from."""
        if targets is None and is_loader(data):
            return cast(Batches, data)
        dataset = as_dataset(data, targets, "fit")
        return DataLoader(dataset, batch_size, shuffle=True, seed=self.model.seed)

    def record_with(self, loader: Any, who: str) -> RunRecord:
        """Return the record that the next step with a loader leaves; itself for the same loader.

        Raises
        ------
        StateError
            In the middle of an epoch, if the loader is another one: its batches are others, and
            what is left of the epoch would repeat some samples and leave out others.
        """
        record = self.record.continued(loader, self.global_step)
        found = self.record.differences(loader) if self.batch else []
        if found:
            raise StateError(
                f"{who}: the run stands at batch {self.batch} of epoch {self.epoch} with another "
                f"loader ({'; '.join(found)}); finish the epoch with a loader built as before, or "
                "set scheduler.batch = 0 to begin it again with this one"
            )
        return record

    def _check_data(self, dataset: Any, name: str) -> None:
        """Refuse NaN, Inf and labels out of range before the first step, by place.

        A read-only array is looked through once: a run in many short pieces, as the window makes
        it, would otherwise spend more time here than in its kernels.
        """
        if not len(dataset):
            raise DataError(f"fit: the {name} is empty")
        for given, what in ((dataset.x, ""), (dataset.y, " target")):
            several = tuple(given.values()) if isinstance(given, dict) else given
            several = several if isinstance(several, tuple) else (several,)
            for number, one in enumerate(several):
                part = f"{what} {number + 1}" if len(several) > 1 and what else what
                part = f" input {number + 1}" if len(several) > 1 and not what else part
                self._check_finite(np.asarray(one), f"{name} holds", part)
        if not isinstance(dataset.y, (tuple, dict)):
            self.loss.check(np.asarray(dataset.y), (len(dataset), *self.model.output_shape))

    def _check_finite(self, array: Array, where: str, part: str) -> None:
        """Refuse NaN and Inf in one array."""
        if not array.flags.writeable and any(known() is array for known in self._finite):
            return
        for start in range(0, len(array) if array.dtype.kind == "f" else 0, 4096):
            bad = ~np.isfinite(array[start : start + 4096])
            if bad.any():
                place = [int(i) for i in np.argwhere(bad)[0]]
                place[0] += start
                value = array[tuple(place)]
                raise DataError(
                    f"fit: the {where} {value} at sample {place[0]},{part} place "
                    f"{tuple(place[1:])}; remove the sample, or hunt it with "
                    "engine.debug.Session, which accepts it"
                )
        if not array.flags.writeable:
            self._finite = [*self._finite[-7:], weakref.ref(array)]

    def _fit(
        self,
        loader: Batches,
        epochs: int | None,
        steps: int | None,
        validation: Batches | None,
        early: EarlyStopping | None,
    ) -> History:
        last_epoch = self.epoch + (1 if epochs is None else epochs)
        watch = self._watching(early, validation)
        first_step, reason = self.global_step, ""
        if self.batch >= len(loader):
            # A listener that raised after an epoch's last batch left the end of the epoch to do.
            reason = self._finish_epoch(validation, time.perf_counter(), len(loader), early)
        planned = (
            steps if steps is not None else (last_epoch - self.epoch) * len(loader) - self.batch
        )
        last_step = self.global_step + planned
        self.emit(FitStarted(planned, last_epoch - self.epoch))
        epoch_start = time.perf_counter()
        while (
            not reason
            and self.global_step < last_step
            and (steps is not None or self.epoch < last_epoch)
        ):
            if not self._wait() or not self._train_batch(loader):
                reason = "stopped"
            elif self.batch >= len(loader):
                reason = self._finish_epoch(validation, epoch_start, len(loader), early)
                epoch_start = time.perf_counter()
        history, notes, trained = self.history, [], self.global_step > first_step
        if watch is not None:
            history, note = self._end_early(watch, reason)
            notes.append(note)
        trouble = self._trouble() if trained else ""
        note = "; ".join(text for text in (*notes, trouble) if text)
        best = watch.best_epoch if watch is not None else None
        self.emit(FitFinished(self.global_step, reason or "finished", note, bool(trouble), best))
        return history

    def _watching(self, early: EarlyStopping | None, validation: Batches | None) -> Watch | None:
        """Return what early stopping goes on with: what it has seen of this run, or nothing yet."""
        if early is None or validation is None:
            return None
        dataset = validation.dataset
        known = getattr(dataset, "fingerprint", None)
        print_of = known() if callable(known) else f"{len(dataset)} samples"
        here = (print_of, self.global_step, self.moments_since)
        if self.watch is None or not self.watch.belongs_to(*here):
            self.watch = Watch(print_of)
        return self.watch

    def _end_early(self, watch: Watch, reason: str) -> tuple[History, str]:
        """Go back to the best epoch if patience is over.

        Returns
        -------
        history : History
            With all epochs that were made.
        note : str
        """
        best, stopped = watch.best, reason in ENDED_EARLY
        kept = best is not None and best.moments_since == self.moments_since
        last = self.history.validations[-1] if self.history.validations else math.nan
        note = watch.told(reason, self.epoch, last, kept)
        if not stopped:
            return self.history, note
        watch.waited = 0
        if watch.best_epoch is None:
            self.watch = None
        if best is None or not kept:
            return self.history, note
        history = copy.deepcopy(self.history)
        self.restore(best)
        return history, note

    def restore_best(self) -> None:
        """Go back to the end of the epoch with the lowest validation loss, history included.

        Raises
        ------
        StateError
            If no epoch was watched by early stopping with ``restore_best``, or something trains.
        """
        best = None if self.watch is None else self.watch.best
        if best is None:
            raise StateError(
                "restore_best: no epoch is kept; fit with early_stopping=EarlyStopping() first"
            )
        with self.exclusive("restore_best"):
            self._leave_half_batch()
            self.restore(best)

    def _trouble(self) -> str:
        """Return in one line how the run has gone bad, or nothing if all its numbers are finite."""
        steps = np.array(self.history.steps, np.float64)
        hint = "lower the learning rate, or find where it begins with the breakpoint any_nonfinite"
        if len(steps) and not np.isfinite(steps[-1]):
            good = np.flatnonzero(np.isfinite(steps))
            first = int(good[-1]) + 1 if len(good) else 0
            return f"the training ends in {steps[-1]}: so is the loss since step {first}; {hint}"
        with self.model.guard.using():
            buffers = {name: p.attached() for name, p in self.model.parameters.items()}
            buffers |= self.model.state.buffers
            for name, buffer in buffers.items():
                if not np.isfinite(buffer.capture()).all():
                    return f"the training ends in NaN or infinity: so is {name} in part; {hint}"
        return ""

    def _wait(self) -> bool:
        """Stand still while paused; return False if the run shall stop."""
        if not self._running.is_set() and not self._stop.is_set():
            self.emit(Paused(self.global_step))
            self._running.wait()
            if not self._stop.is_set():
                self.emit(Resumed(self.global_step))
        return not self._stop.is_set()

    def _train_batch(self, loader: Batches) -> bool:
        """Make the next step; return False if `stop` came before it changed anything."""
        start = time.perf_counter()
        x, y = loader.batch(self.epoch, self.batch)
        program = self._program_for(x)
        with self.model.guard.changing():
            self.load_batch(program, x, y)
            if not program.run_unless(self._stop.is_set):
                return False
            # Move on before anybody is told: a listener that raises must not make this batch count
            # twice.
            loss, correct, counted = self.book(program, y)
            self.record = self._upcoming
        event = StepFinished(
            step=self.global_step - 1,
            epoch=self.epoch,
            batch=self.batch - 1,
            loss=loss,
            learning_rate=self.history.rates[-1],
            samples=length(y),
            correct=correct,
            elapsed_ms=(time.perf_counter() - start) * 1e3,
            counted=counted,
        )
        self.emit(event)
        return True

    def _finish_epoch(
        self,
        validation: Batches | None,
        start: float,
        batches: int,
        early: EarlyStopping | None = None,
    ) -> str:
        """Evaluate, move to the next epoch, and return why the run shall stop, if it shall."""
        result = None if validation is None else self.evaluate(validation)
        accuracy = self.finish_epoch(batches, result)
        loss = self.history.epochs[-1]
        validation_loss, note = (None, "") if result is None else (result.loss, result.note)
        stop = False
        if early is not None and self.watch is not None and result is not None:
            # Before anybody is told: a listener that raises must not make this epoch count for
            # nothing, and a file that it saves shall know of it.
            stop = self.watch.take(result.loss, self.epoch - 1, early, self.capture)
            # Weights that are NaN stay so, however long one waits.
            stop = stop or (not math.isfinite(result.loss) and bool(self._trouble()))
        elapsed = (time.perf_counter() - start) * 1e3
        self.emit(EpochFinished(self.epoch - 1, loss, validation_loss, accuracy, elapsed, note))
        if not stop or result is None:
            return ""
        return "early_stopping" if math.isfinite(result.loss) else "validation_nan"

    # -- without training --------------------------------------------------------------------

    def evaluate(self, data: Any, targets: Any = None) -> Evaluation:
        """Return mean loss (without penalties) and accuracy over a data set.

        Samples go through the preprocessing of the run (see `record`) first, and labels are matched
        by the names of classes, where both sides have them.
        Labels that the loss ignores count in neither; `Evaluation.note` tells what could not be
        counted like the rest.

        Parameters
        ----------
        data : Dataset, DataLoader, (x, y), or array
            A loader gives the batches of its first epoch, transforms included; those that draw
            nothing must be the run's own.
        targets : array, optional
            Where `data` is an array, or a tuple of arrays for several inputs.
        """
        source = as_batches(data, targets, "evaluate", PREDICT_BATCH)
        source = self.record.seen(source, "evaluate")
        # Every batch with the same weights, whatever other threads do meanwhile.
        with self.model.guard.keeping():
            return self._evaluate(source)

    def _evaluate(self, source: Batches) -> Evaluation:
        loss, labels = self.loss, source.dataset.y
        if loss.reduction == "none":
            raise ConfigurationError(
                'evaluate: the loss must be reduced by "mean" or "sum", received "none"'
            )
        if not isinstance(labels, (tuple, dict)):  # here, so that an error names the place in all
            loss.check(np.asarray(labels), (len(source.dataset), *self.model.output_shape))
        total, divisor, tally, done = 0.0, 0.0, metrics.Tally(), 0
        for x, y in batches_of(source):
            scores, labels = self.model(x), np.asarray(y)
            part = float(loss(scores, labels))
            if loss.reduction == "mean":
                share = loss.divisor(labels, scores.shape)
                total, divisor = total + part * share, divisor + share
            else:
                total, divisor = total + part, divisor + len(labels)
            tally += metrics.judge(scores, labels, loss.ignore_index)
            done += len(labels)
            self.emit(EvaluationProgress(done, max(len(source.dataset), done)))
        if not done:
            raise DataError("evaluate: the data set is empty")
        return Evaluation(
            total / divisor if divisor else math.nan,
            tally.accuracy,
            done,
            tally.counted,
            tally.skipped,
            tally.nan,
            tally.first_nan,
            tally.note,
        )

    def predict(self, *inputs: Any) -> Any:
        """Return the model's outputs for a batch, as calling the model does."""
        return self.model(*inputs)

    def settled(self) -> Snapshot:
        """Return the newest state between two batches: what a run file holds."""
        with self.model.guard.using():
            return self.under_way or self.capture()

    def _leave_half_batch(self) -> None:
        """Undo what a debugger left half done, or its statistics would count twice."""
        if self.under_way is not None:
            self.restore(self.under_way)
            self.under_way = None

    # -- going back --------------------------------------------------------------------------

    def capture(self) -> Snapshot:
        """Return a copy of everything that training changes."""
        with self.model.guard.using():
            return Snapshot(
                self.epoch,
                self.batch,
                self.global_step,
                self.history.mark(),
                {name: p.attached().capture() for name, p in self.model.parameters.items()},
                {name: tuple(m.capture() for m in ms) for name, ms in self.moments.items()},
                {name: buffer.capture() for name, buffer in self.model.state.buffers.items()},
                self.moments_since,
            )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, history included.

        Raises
        ------
        StateError
            If it was made with another optimizer.
        """
        with self.model.guard.changing():
            self._restore_numbers(snapshot)
            self.epoch, self.batch, self.global_step = (
                snapshot.epoch,
                snapshot.batch,
                snapshot.global_step,
            )
            self.history.cut(snapshot.history)

    def _restore_numbers(self, snapshot: Snapshot) -> None:
        if snapshot.moments_since != self.moments_since:
            raise StateError(
                "the run cannot go back past the step at which its optimizer was replaced "
                f"({max(snapshot.moments_since, self.moments_since)})"
            )
        with self.model.guard.changing():
            for name, array in snapshot.parameters.items():
                self.model.parameters[name].attached().restore(array)
            for name, arrays in snapshot.moments.items():
                for buffer, array in zip(self.moments[name], arrays, strict=True):
                    buffer.restore(array)
            for name, array in snapshot.state.items():
                self.model.state.buffers[name].restore(array)

    # -- copies ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return (
            f"Scheduler({self.model!r}, {self.loss!r}, {self.optimizer!r}, "
            f"epoch {self.epoch}, batch {self.batch}, {self.global_step} steps made)"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Scheduler:
        """Return a run of its own that stands where this one stands; nobody listens to it."""
        with self.model.guard.using():
            made = Scheduler(
                copy.deepcopy(self.model, memo),
                copy.deepcopy(self.loss, memo),
                copy.deepcopy(self.optimizer, memo),
            )
            made.record = self.record
            made.epoch, made.batch, made.global_step = self.epoch, self.batch, self.global_step
            made.history, made.moments_since = copy.deepcopy(self.history), self.moments_since
            made.watch = copy.copy(self.watch)
            for name, moments in self.moments.items():
                for mine, theirs in zip(moments, made.moments[name], strict=True):
                    theirs.write(mine.read())
        memo[id(self)] = made
        return made
