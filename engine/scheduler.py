"""Scheduler: runs training steps, and can be paused, resumed and stopped from any thread."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine import metrics
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
from engine.losses import Loss
from engine.model import PREDICT_BATCH, Model
from engine.optimizers import Optimizer
from engine.program import Moments, Program
from engine.typing import Array

Listener = Callable[[Event], None]


class Examples(Protocol):
    """Data with answers: ``x`` (n, ...) and ``y`` (n, ...)."""

    @property
    def x(self) -> Array:
        """Inputs."""

    @property
    def y(self) -> Array:
        """Targets."""

    def __len__(self) -> int: ...


class Batches(Protocol):
    """A loader whose batches can be fetched in any order; see `engine.data.DataLoader`."""

    dataset: Any

    def batch(self, epoch: int, number: int) -> tuple[Array, Array]:
        """Return one batch."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss has not got better by `min_delta` for `patience` epochs.

    Parameters
    ----------
    patience : int
    min_delta : float
    restore_best : bool
        Put back the parameters of the best epoch at the end.
    """

    patience: int = 3
    min_delta: float = 0.0
    restore_best: bool = True

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ConfigurationError(
                f"patience: expected at least 1 epoch, received {self.patience}"
            )


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns; accuracy is None where targets are not class indices."""

    loss: float
    accuracy: float | None
    samples: int


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

    @property
    def memory_bytes(self) -> int:
        """Size of the copies."""
        arrays = [*self.parameters.values(), *self.state.values()]
        arrays += [moment for moments in self.moments.values() for moment in moments]
        return sum(array.nbytes for array in arrays)


class Scheduler:
    """Trains a model.

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
    epoch, batch : int
        The next batch to train on; both from 0.
    global_step : int
        Steps made so far.
    history : History
    under_way : Snapshot or None
        How things were before the batch that a debugger is half-way through; None between batches.
    """

    def __init__(
        self, model: Model, loss: Loss, optimizer: Optimizer, convolution: str | None = None
    ) -> None:
        for name, value, kind in (
            ("model", model, Model),
            ("loss", loss, Loss),
            ("optimizer", optimizer, Optimizer),
        ):
            if not isinstance(value, kind):
                hint = f"; call the class: {value.__name__}()" if isinstance(value, type) else ""
                raise ConfigurationError(
                    f"Scheduler: expected a {kind.__name__} as {name}, "
                    f"received {type(value).__name__}{hint}"
                )
        if convolution is not None:
            model.convolution = convolution
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.epoch = self.batch = self.global_step = 0
        self.history = History()
        self.moments = self._allocate_moments()
        self.under_way: Snapshot | None = None
        self._current: Program | None = None
        self._programs: dict[Any, Program] = {}
        self._listeners: list[Listener] = []
        self._running = threading.Event()
        self._running.set()
        self._stop = threading.Event()
        self._busy = threading.Lock()
        self._finite: list[weakref.ref[Array]] = []

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

    # -- listening and controlling -----------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, in the running thread; return what ends that."""
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
        trained = tuple(p.trainable for p in self.model.parameters.values())
        key = (batch, self.model.convolution, trained)
        if key not in self._programs:
            if len(self._programs) >= 4:
                self._programs.pop(next(iter(self._programs)))
            program = Program(
                self.model,
                batch,
                training=True,
                loss=self.loss,
                optimizer=self.optimizer,
                moments=self.moments,
                progress=lambda name, n, total: self.emit(Compiling(name, n, total)),
            )
            program.prepare()
            self._programs[key] = program
        return self._programs[key]

    def load_batch(self, program: Program, x: Any, y: Any) -> None:
        """Write a batch and this step's rates into a program."""
        inputs = self.model.check_inputs(x if isinstance(x, tuple) else (x,))
        if len(inputs[0]) != len(y):
            raise ShapeError(
                f"batch: expected as many targets as samples ({len(inputs[0])}), received {len(y)}"
            )
        program.load(inputs, y, self.optimizer.rates(self.global_step), self.global_step)

    def step(self, x: Any, y: Any) -> float:
        """Make one training step on one batch.

        Parameters
        ----------
        x : array (n, ...), or tuple of arrays for several inputs
        y : array (n, ...)

        Returns
        -------
        float
            The loss before the update, penalties included.

        Raises
        ------
        ShapeError, DtypeError, DataError
            If the batch does not fit the model or the loss.
        """
        program = self._loaded(x, y)
        program.run()
        return self._book(program)

    def _loaded(self, x: Any, y: Any) -> Program:
        """Return the program of a batch with the batch in it."""
        first = x[0] if isinstance(x, tuple) else x
        if not len(first):
            raise DataError("step: expected at least one sample, received none")
        self._leave_half_batch()
        program = self._current = self.program(len(first))
        self.load_batch(program, x, y)
        return program

    def _book(self, program: Program) -> float:
        """Count a step that has run and return its loss."""
        loss = program.loss_value()
        self.global_step += 1
        self.history.steps.append(loss)
        return loss

    def correct_predictions(self, program: Program, y: Array) -> int | None:
        """Return how many predictions of the batch just run are right, or None without classes."""
        if program.loss_site is None:
            return None
        scores = program.loss_site.prediction.read()
        labels = np.asarray(y)
        if scores.ndim != 2 or labels.ndim != 1 or labels.dtype.kind not in "iu":
            return None
        return int((metrics.predictions(scores) == labels).sum())

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise StateError(
                "fit: this scheduler is already training in another thread; stop() it first"
            )
        try:
            yield
        finally:
            self._busy.release()

    def fit(
        self,
        loader: Batches,
        epochs: int | None = None,
        steps: int | None = None,
        validation: Examples | None = None,
        early_stopping: EarlyStopping | None = None,
    ) -> History:
        """Train from where the scheduler stands.

        Parameters
        ----------
        loader : DataLoader
        epochs : int, optional
            Go to the end of this many epochs; a half-done one that is finished counts. Default 1.
        steps : int, optional
            Make this many steps instead, over epoch borders if need be.
        validation : Dataset, optional
            Evaluated after every epoch.
        early_stopping : EarlyStopping, optional
            Needs a validation set.

        Returns
        -------
        History

        Raises
        ------
        DataError
            If the data hold NaN or Inf.
        ConfigurationError
            If the settings make no sense.
        """
        for name, count in (("epochs", epochs), ("steps", steps)):
            if count is not None and (not isinstance(count, (int, np.integer)) or count < 0):
                raise ConfigurationError(
                    f"fit {name}: expected a whole number of at least 0, received {count!r}"
                )
        if epochs is not None and steps is not None:
            raise ConfigurationError("fit: give epochs or steps, not both")
        if early_stopping is not None and validation is None:
            raise ConfigurationError("fit: early_stopping needs a validation set")
        self._check_data(loader.dataset, "training set")
        if validation is not None:
            self._check_data(validation, "validation set")
        with self._exclusive():
            self._stop.clear()
            self._leave_half_batch()
            self._fit(loader, epochs, steps, validation, early_stopping)
        return self.history

    def _check_data(self, dataset: Any, name: str) -> None:
        """Refuse NaN, Inf and labels out of range before the first step, by place.

        A read-only array is looked through once: a run in many short pieces, as the window makes
        it, would otherwise spend more time here than in its kernels.
        """
        if not len(dataset):
            raise DataError(f"fit: the {name} is empty")
        for array, part in ((np.asarray(dataset.x), ""), (np.asarray(dataset.y), " target")):
            if not array.flags.writeable and any(known() is array for known in self._finite):
                continue
            for start in range(0, len(array) if array.dtype.kind == "f" else 0, 4096):
                bad = ~np.isfinite(array[start : start + 4096])
                if bad.any():
                    where = [int(i) for i in np.argwhere(bad)[0]]
                    where[0] += start
                    value = array[tuple(where)]
                    raise DataError(
                        f"fit: the {name} holds {value} at sample {where[0]},{part} place "
                        f"{tuple(where[1:])}; remove the sample, or hunt it with "
                        "engine.debug.Session, which accepts it"
                    )
            if not array.flags.writeable:
                self._finite = [*self._finite[-7:], weakref.ref(array)]
        self.loss.check(np.asarray(dataset.y), (len(dataset), *self.model.output_shape))

    def _fit(
        self,
        loader: Batches,
        epochs: int | None,
        steps: int | None,
        validation: Examples | None,
        early: EarlyStopping | None,
    ) -> None:
        last_epoch = self.epoch + (1 if epochs is None else epochs)
        if self.batch >= len(loader):
            # A listener that raised after an epoch's last batch left the end of the epoch to do.
            self._finish_epoch(validation, time.perf_counter(), len(loader))
        planned = (
            steps if steps is not None else (last_epoch - self.epoch) * len(loader) - self.batch
        )
        last_step = self.global_step + planned
        self.emit(FitStarted(planned, last_epoch - self.epoch))
        best, best_loss, waited, reason = None, np.inf, 0, "finished"
        epoch_start = time.perf_counter()
        while self.global_step < last_step and (steps is not None or self.epoch < last_epoch):
            if not self._wait():
                reason = "stopped"
                break
            if not self._train_batch(loader):
                reason = "stopped"
                break
            if self.batch < len(loader):
                continue
            loss = self._finish_epoch(validation, epoch_start, len(loader))
            epoch_start = time.perf_counter()
            if early is not None and loss is not None:
                waited += 1
                if loss < best_loss - early.min_delta:
                    best, best_loss, waited = self.capture(), loss, 0
                if waited >= early.patience:
                    reason = "early_stopping"
                    break
        if early is not None and early.restore_best and best is not None:
            self._restore_numbers(best)
        self.emit(FitFinished(self.global_step, reason))

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
        program = self._loaded(x, y)
        if not program.run_unless(self._stop.is_set):
            return False
        loss = self._book(program)
        correct = self.correct_predictions(program, y)
        event = StepFinished(
            step=self.global_step - 1,
            epoch=self.epoch,
            batch=self.batch,
            loss=loss,
            learning_rate=self.optimizer.rate(self.global_step - 1),
            samples=len(y),
            correct=correct,
            elapsed_ms=(time.perf_counter() - start) * 1e3,
        )
        # Move on first: a listener that raises must not make this batch count twice.
        self.batch += 1
        self.history.tally(correct, len(y))
        self.emit(event)
        return True

    def _finish_epoch(
        self, validation: Examples | None, start: float, batches: int
    ) -> float | None:
        """Move to the next epoch, evaluate, and return the validation loss."""
        self.batch, self.epoch = 0, self.epoch + 1
        accuracy = self.history.finish_epoch(batches)
        loss = self.history.epochs[-1]
        validation_loss = None
        if validation is not None:
            result = self.evaluate(validation)
            validation_loss, accuracy = result.loss, result.accuracy
            self.history.validations.append(result.loss)
        if accuracy is not None:
            self.history.accuracies.append(accuracy)
        elapsed = (time.perf_counter() - start) * 1e3
        self.emit(EpochFinished(self.epoch - 1, loss, validation_loss, accuracy, elapsed))
        return validation_loss

    # -- without training --------------------------------------------------------------------

    def evaluate(self, dataset: Examples) -> Evaluation:
        """Return mean loss (without penalties) and accuracy over a data set."""
        if not len(dataset):
            raise DataError("evaluate: the data set is empty")
        total, divisor, right, counted = 0.0, 0.0, 0, False
        for start in range(0, len(dataset), PREDICT_BATCH):
            x, y = (
                dataset.x[start : start + PREDICT_BATCH],
                np.asarray(dataset.y[start : start + PREDICT_BATCH]),
            )
            scores = self.model(x)
            part = float(self.loss(scores, y))
            if self.loss.reduction == "mean":
                share = self.loss.divisor(y, scores.shape)
                total, divisor = total + part * share, divisor + share
            else:
                total, divisor = total + part, divisor + len(y)
            if scores.ndim == 2 and y.ndim == 1 and y.dtype.kind in "iu":
                counted = True
                right += round(metrics.accuracy(scores, y) * len(y))
            self.emit(EvaluationProgress(min(start + PREDICT_BATCH, len(dataset)), len(dataset)))
        count = len(dataset)
        return Evaluation(total / (divisor or 1.0), right / count if counted else None, count)

    def predict(self, *inputs: Any) -> Any:
        """Return the model's outputs for a batch, as calling the model does."""
        return self.model(*inputs)

    def settled(self) -> Snapshot:
        """Return the newest state between two batches: what a run file holds."""
        return self.under_way or self.capture()

    def _leave_half_batch(self) -> None:
        """Undo what a debugger left half done, or its statistics would count twice."""
        if self.under_way is not None:
            self.restore(self.under_way)
            self.under_way = None

    # -- going back --------------------------------------------------------------------------

    def capture(self) -> Snapshot:
        """Return a copy of everything that training changes."""
        return Snapshot(
            self.epoch,
            self.batch,
            self.global_step,
            self.history.mark(),
            {name: p.attached().capture() for name, p in self.model.parameters.items()},
            {name: tuple(m.capture() for m in moments) for name, moments in self.moments.items()},
            {name: buffer.capture() for name, buffer in self.model.state.buffers.items()},
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, history included."""
        self.epoch, self.batch, self.global_step = (
            snapshot.epoch,
            snapshot.batch,
            snapshot.global_step,
        )
        self.history.cut(snapshot.history)
        self._restore_numbers(snapshot)

    def _restore_numbers(self, snapshot: Snapshot) -> None:
        for name, array in snapshot.parameters.items():
            self.model.parameters[name].attached().restore(array)
        for name, arrays in snapshot.moments.items():
            for buffer, array in zip(self.moments[name], arrays, strict=True):
                buffer.restore(array)
        for name, array in snapshot.state.items():
            self.model.state.buffers[name].restore(array)
