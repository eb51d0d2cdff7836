"""Opening runs, describing them, and finding their data. Runs in the worker thread."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gui.models.snapshot import NodeInfo, RunInfo, TrainingFacts
from gui.models.state import Task
from gui.worker.debuggee import Debuggee
from gui.worker.mailbox import EpochScalar, StepScalar
from gui.worker.pictures import Library

if TYPE_CHECKING:
    from engine import Model, Scheduler
    from engine.data import DataLoader, Dataset
    from engine.debug.position import Position
    from engine.program import Operation

BUNDLED = "lenet5-mnist.safetensors"
TRAINED_BATCH = 64
WAIT_S = 0.03
"""Between two looks at whether a wait shall be given up."""
SEARCHED = 256
"""Pictures between two looks at whether a search shall be given up."""


def bundled_run() -> Path:
    """Return the trained net that ships with the product."""
    from engine.data import bundled

    return bundled.path(BUNDLED)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the command line asked for.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
    threads : int or None
        CPU threads; None takes all cores but one.
    seed : int or None
        Of networks that are started afresh; None draws one.
    """

    device: str = "auto"
    threads: int | None = None
    seed: int | None = None


_preferences = [Preferences()]


def prefer(device: str, threads: int | None, seed: int | None) -> None:
    """Open the runs of this process in this way; see `Preferences`."""
    _preferences[0] = Preferences(device, threads, seed)


def preferences() -> Preferences:
    """Return what `prefer` was told."""
    return _preferences[0]


def kernel_threads() -> int:
    """Return how many threads kernels may use: one core is left to the window."""
    wish = _preferences[0].threads
    if wish is not None:
        return wish
    cores = os.process_cpu_count() if hasattr(os, "process_cpu_count") else None
    if cores is None and hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return max((cores or os.cpu_count() or 2) - 1, 1)


def open_run(path: Path, tell: Callable[[Task], None]) -> Scheduler:
    """Read a run file.

    Raises
    ------
    EngineError
        If it is none, or damaged.
    """
    from engine import load

    title = f"Opening {path.name}"
    tell(Task("open", title))
    try:
        return load(path, device=_preferences[0].device, threads=kernel_threads())
    finally:
        tell(Task("open", title, "", 1, 1, True))


def settings_text(model: Model, name: str) -> str:
    """Return ``window 5×5, stride 1, padding 0`` for a layer that looks through a window."""
    node = model.node(name)
    if node.layer is None:
        return ""
    reach = node.layer.op.reach(*(model.node(before).output_shape for before in node.inputs))
    if reach is None:
        return ""

    def both(pair: Any, sign: str = "×") -> str:
        first, second = pair
        return f"{first}" if first == second else f"{first}{sign}{second}"

    rows, columns = reach.kernel
    if (rows, columns) == (1, 1) and tuple(reach.stride) == (1, 1):
        return ""
    padding = "/".join(str(side) for side in np.ravel(reach.padding))
    if len(set(np.ravel(reach.padding).tolist())) == 1:
        padding = str(int(np.ravel(reach.padding)[0]))
    text = f"window {rows}×{columns}   stride {both(reach.stride)}   padding {padding}"
    if tuple(reach.dilation) != (1, 1):
        text += f"   dilation {both(reach.dilation)}"
    return text


def describe(scheduler: Scheduler, path: str, sizes: dict[str, int], library: Library) -> RunInfo:
    """Return what the window shows of a run."""
    model = scheduler.model
    nodes = []
    for node in model.nodes:
        layer = node.layer
        names = tuple(layer.parameters) if layer is not None else ()
        count = sum(int(np.prod(layer.parameters[name].shape)) for name in names) if layer else 0
        kind = layer.op.name if layer is not None else "input"
        nodes.append(
            NodeInfo(
                node.name,
                kind,
                tuple(node.output_shape),
                tuple(node.inputs),
                count,
                settings_text(model, node.name),
                names,
            )
        )
    outputs = model.output_shape
    classes = library.get("test").classes if sizes else None
    fits = classes is not None and outputs == (len(classes),)
    labels = scheduler.record.classes or (tuple(classes) if fits and classes is not None else ())
    if len(outputs) == 1:  # a net may have more outputs than there are names
        labels = (*labels, *(str(number) for number in range(len(labels), outputs[0])))
    total = sum(int(np.prod(parameter.shape)) for parameter in model.parameters.values())
    facts = [*model.backend.describe().split(", ")[:2], model.dtype]
    facts = [fact.replace("1 threads", "1 thread") for fact in facts]
    return RunInfo(
        title=Path(path).stem if path else "new net",
        path=path,
        nodes=tuple(nodes),
        input_shape=tuple(model.input_shape),
        labels=labels,
        parameters=total,
        facts=", ".join(facts),
        can_train=fits,
        dataset_sizes=sizes,
        look=scheduler.record.look,
    )


def history(scheduler: Scheduler) -> list[object]:
    """Return the losses and accuracies that a run file brings along, at the steps they belong to.

    Accuracies are those of a test set only where every epoch had one; otherwise some of them were
    measured on the batches that were trained on, and none may be called the test set's.
    """
    past = scheduler.history
    losses, epochs = past.steps, len(past.epochs)
    tested = len(past.validations) == len(past.accuracies) > 0
    whole = scheduler.global_step - scheduler.batch
    batches = whole // scheduler.epoch if scheduler.epoch else max(len(losses), 1)
    first = scheduler.global_step - len(losses)
    records: list[object] = []
    for number, loss in enumerate(losses):
        epoch, batch = divmod(first + number, batches)
        rate = past.rates[number] if number < len(past.rates) else math.nan
        known = rate if math.isfinite(rate) else None
        records.append(StepScalar(first + number, epoch, batch, loss, 0, None, 0.0, None, known))
    start = scheduler.epoch - epochs
    for number, accuracy in enumerate(past.accuracies):
        epoch = start + number
        records.append(EpochScalar((epoch + 1) * batches, epoch, 0.0, accuracy, tested))
    return records


FAR = tuple(1 << power for power in range(21))
"""Steps ahead at which a schedule is looked at: up to a million."""


def facts(scheduler: Scheduler, batches: int, unsaved: int) -> TrainingFacts:
    """Return where the training stands."""
    from engine.schedules import ConstantRate, CosineDecay, Schedule

    step, rate = scheduler.global_step, scheduler.optimizer.learning_rate
    now = scheduler.optimizer.rate(step)
    planned = isinstance(rate, Schedule) and not isinstance(rate, ConstantRate)
    ended = planned and all(scheduler.optimizer.rate(step + far) == now for far in FAR)
    cosine = (rate.start, rate.end) if isinstance(rate, CosineDecay) else None
    words = schedule_words(rate)
    return TrainingFacts(step, batches, now, words, ended, cosine, unsaved)


def schedule_words(rate: Any) -> str:
    """Return how a learning rate changes: ``cosine from 0.05 to 0 over 4,690 steps``."""
    from engine.schedules import ConstantRate, CosineDecay, ExponentialDecay, StepDecay, WarmUp

    if isinstance(rate, CosineDecay):
        return f"cosine from {rate.start:g} to {rate.end:g} over {rate.steps:,} steps"
    if isinstance(rate, StepDecay | ExponentialDecay):
        return f"from {rate.start:g}, times {rate.factor:g} every {rate.every:,} steps"
    if isinstance(rate, WarmUp):
        return f"warm-up over {rate.steps:,} steps, then {schedule_words(rate.then)}"
    if isinstance(rate, ConstantRate):
        return f"constant {rate.start:g}"
    return f"constant {rate:g}" if isinstance(rate, float | int) else type(rate).__name__


def set_rate(scheduler: Scheduler, rate: float | None, steps: int) -> None:
    """Go on with another learning rate from the next step on.

    Parameters
    ----------
    rate : float or None
        Constant from now on; None stretches the run's cosine instead.
    steps : int
        Over so many steps from here.

    Raises
    ------
    ConfigurationError
        If the rate is none, or there is no cosine to stretch.
    """
    from engine.errors import ConfigurationError
    from engine.schedules import ConstantRate, CosineDecay

    if rate is not None:
        scheduler.optimizer.learning_rate = ConstantRate(float(rate)).start
        return
    old = scheduler.optimizer.learning_rate
    if not isinstance(old, CosineDecay):
        raise ConfigurationError(
            f"learning rate: only a cosine can be stretched, this run has {schedule_words(old)}"
        )
    total = scheduler.global_step + steps
    scheduler.optimizer.learning_rate = CosineDecay(old.start, total, old.end)


def fresh(scheduler: Scheduler, seed: int) -> Scheduler:
    """Give the net random weights and return a scheduler that starts from step 0."""
    from engine import Scheduler as NewScheduler
    from engine.random import generator

    model = scheduler.model
    for name, parameter in model.parameters.items():
        parameter.value = parameter.initializer(parameter.shape, generator(seed, "init", name))
    for node in model.nodes:
        for name, first in node.layer.initial_state.items() if node.layer is not None else ():
            model.state[f"{node.name}.{name}"] = first
    made = NewScheduler(model, scheduler.loss, scheduler.optimizer)
    made.record = scheduler.record  # other weights for the same classes and pictures
    return made


def training_loader(scheduler: Scheduler, train: Dataset) -> DataLoader:
    """Return the batches to train on: the run's own, if it was trained on these data."""
    from engine.data import DataLoader
    from engine.errors import EngineError

    record = scheduler.record
    loader = DataLoader(train, batch_size=TRAINED_BATCH, shuffle=True, seed=scheduler.model.seed)
    if record.settings:
        try:
            loader = DataLoader.from_config(train, dict(record.settings))
        except EngineError:  # other data, or a transform that a file can only name
            chain = (record.chains or {}).get(None, ())
            loader = DataLoader(
                train,
                batch_size=record.settings.get("batch_size") or TRAINED_BATCH,
                shuffle=True,
                seed=scheduler.model.seed,
                transform=chain,
            )
    differs = bool(scheduler.batch and record.differences(loader))
    if scheduler.batch > len(loader) or differs:  # these batches cannot finish that epoch
        scheduler.epoch, scheduler.batch = scheduler.epoch + 1, 0
    return loader


def compile_forward(scheduler: Scheduler, tell: Callable[[Task], None]) -> None:
    """Compile or load what a forward pass needs, and tell each kernel."""
    from engine.program import Program

    Program(scheduler.model, 1, progress=_teller("Forward kernels", tell)).prepare(stepping=True)
    tell(Task("Forward kernels", "Forward kernels", "ready", 1, 1, True))


def _teller(title: str, tell: Callable[[Task], None]) -> Callable[[str, int, int], None]:
    def progress(kernel: str, number: int, total: int) -> None:
        tell(Task(title, title, kernel, number, total))

    return progress


class Warmup:
    """Compiles beside the work, in a thread of its own: a training step's kernels, then all others.

    It only compiles and runs nothing. Who needs the kernels of training waits for them first, so
    that no kernel is ever compiled twice at once. All others are for nets that may be opened later:
    nobody waits for them, and they take what the processor has left.

    Parameters
    ----------
    tell : callable
        Takes the state for the activity list.
    """

    title, rest_title = "Training kernels", "Other kernels"

    def __init__(self, tell: Callable[[Task], None]) -> None:
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._ready, self._stop = threading.Event(), threading.Event()
        self._ready.set()

    def start(self, scheduler: Scheduler) -> None:
        """Begin with the kernels of this net; a search through all others starts over."""
        self.wait()
        self._end_rest()
        self._ready.clear()
        self._thread = threading.Thread(
            target=self._compile, args=(scheduler,), name="convscope-compiler", daemon=True
        )
        self._thread.start()

    def wait(self, check: Callable[[], object] = lambda: None) -> None:
        """Return when the kernels of training are there; `check` may raise to give the wait up."""
        while not self._ready.wait(WAIT_S):
            check()

    def close(self) -> None:
        """End what nobody needs any more."""
        self._stop.set()

    def _end_rest(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._stop.clear()

    def _compile(self, scheduler: Scheduler) -> None:
        try:
            self._compile_training(scheduler)
        finally:
            self._ready.set()
        if not self._stop.is_set():
            self._compile_rest(scheduler.model.dtype)

    def _compile_training(self, scheduler: Scheduler) -> None:
        from engine.errors import EngineError
        from engine.program import Program

        try:
            program = Program(
                scheduler.model,
                1,
                training=True,
                loss=scheduler.loss,
                optimizer=scheduler.optimizer,
                moments=scheduler.moments,
                progress=_teller(self.title, self._tell),
            )
            program.prepare()
            program.prepare(stepping=True)
        except EngineError as error:
            self._tell(Task(self.title, self.title, str(error), 1, 1, True))
            return
        self._tell(Task(self.title, self.title, "ready", 1, 1, True))

    def _compile_rest(self, dtype: str) -> None:
        from engine.device import compile_kernels

        title = self.rest_title
        done = compile_kernels([dtype], None, _teller(title, self._tell), self._stop, True)
        if done.compiled or done.left:
            outcome = "ready" if not done.left else f"{done.left} are compiled when needed"
            self._tell(Task(title, title, outcome, 1, 1, True))


def find_sample(
    dataset: Dataset,
    now: int,
    move: str,
    label: int,
    random: np.random.Generator,
    predict: Callable[[Any], Any] | None,
    looked: Callable[[int, int], object] = lambda done, total: None,
) -> int:
    """Return the number of another picture.

    Parameters
    ----------
    now : int
        The number shown now, or -1.
    move : str
        ``next``, ``previous``, ``random`` or ``mistake``.
    label : int
        Only this class; -1 takes any.
    predict : callable or None
        Needed for mistakes.
    looked : callable
        Takes how many pictures of how many a search has looked at; may raise to give it up.

    Raises
    ------
    DataError
        If there is no such picture.
    """
    from engine.errors import DataError

    wanted = np.arange(len(dataset)) if label < 0 else np.flatnonzero(dataset.y == label)
    if not len(wanted):
        raise DataError(f"{dataset.name}: no picture of class {label}")
    if move == "random":
        return int(random.choice(wanted))
    if move == "previous":
        before = wanted[wanted < now]
        return int(before[-1] if len(before) else wanted[-1])
    after = np.concatenate([wanted[wanted > now], wanted[wanted <= now]])
    if move == "mistake" and predict is not None:
        for start in range(0, len(after), SEARCHED):
            looked(start, len(after))
            part = after[start : start + SEARCHED]
            wrong = np.asarray(predict(dataset.x[part])).argmax(axis=1) != dataset.y[part]
            if wrong.any():
                return int(part[int(np.argmax(wrong))])
        raise DataError(f"{dataset.name}: the net makes no mistake here")
    return int(after[0])


def operation_position(now: Position, row: Operation) -> Position:
    """Return the position of an operation in the batch of now."""
    return replace(now.at_operation(), phase=row.phase, operation=row.index)


def check_index(debuggee: Debuggee, layer: str, tensor: str, index: tuple[int, ...] | None) -> None:
    """Refuse an index that does not lie in the tensor.

    Raises
    ------
    ShapeError
        With the sizes that would fit.
    """
    from engine.errors import ShapeError

    if index is None:
        return
    shape = debuggee.shape(layer, tensor)
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=True)):
        raise ShapeError(
            f"{layer}.{tensor}: expected an index within {shape}, received {tuple(index)}"
        )
