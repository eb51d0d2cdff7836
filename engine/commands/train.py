"""`convscope train`."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from engine import Scheduler, save
from engine.commands.datasets import Data, read_data, tell
from engine.commands.interrupt import on_interrupt
from engine.commands.options import (
    Convolution,
    DataOption,
    DebugOption,
    DecimalOption,
    DelimiterOption,
    Device,
    DeviceOption,
    HeaderOption,
    JsonOption,
    LabelOption,
    SeedOption,
    ThreadsOption,
    parse_size,
)
from engine.commands.output import Interrupted, Output, duration, percent, shape_text
from engine.commands.progress import Reporter, reporter
from engine.commands.resuming import (
    check_same,
    epochs_in_all,
    recorded_batch,
    recorded_size,
    with_recorded_transforms,
)
from engine.commands.runs import check_classifier, check_output, open_run
from engine.commands.sources import table_of
from engine.data import DataLoader
from engine.errors import ConfigurationError
from engine.events import Compiling, EpochFinished, Event, FitFinished, FitStarted
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.schedules import CosineDecay
from engine.zoo import build

MODEL = "lenet5"
EPOCHS = 5
BATCH_SIZE = 64
LEARNING_RATE = 0.05
MOMENTUM = 0.9
SAVE_EVERY_S = 2.0
"""A run is saved after an epoch if so much time has passed; always at its end."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Parameters
    ----------
    scheduler : Scheduler
    loader : DataLoader
    data : Data
    epochs : int
        How many the run has when it is done, earlier ones included.
    name : str
        Of the model, for the reader.
    """

    scheduler: Scheduler
    loader: DataLoader
    data: Data
    epochs: int
    name: str

    @property
    def steps_left(self) -> int:
        """Steps from here to the end."""
        at = self.scheduler
        return (self.epochs - at.epoch) * len(self.loader) - at.batch


class _Left(Exception):
    """Leaves `fit` from within a listener, before the first step."""


def train(
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"A net of the zoo; {MODEL} by default.")
    ] = None,
    data: DataOption = "mnist",
    label: LabelOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help=f"Passes through the data in all; {EPOCHS} by default."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Samples in a step; {BATCH_SIZE} by default."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help=f"At the start; it falls along a cosine. {LEARNING_RATE} by default."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the run here, after epochs too.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run file, bit for bit.")
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="With --resume: go on although data, classes or batches are others than before.",
        ),
    ] = False,
    image_size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Resample pictures of a folder to so many pixels."),
    ] = None,
    convolution: Annotated[
        Convolution | None,
        typer.Option(
            help="How 3x3 convolutions run: directly (the default); by Winograd's method where "
            "that is faster, which rounds differently; always by it, with tiles of 2 or of 4."
        ),
    ] = None,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network and save the run. Ctrl-C saves and leaves; --resume goes on."""
    out = Output(as_json)
    check_output(output)
    if learning_rate is not None and not (0 < learning_rate < math.inf):
        raise ConfigurationError(
            f"--learning-rate: expected a number above 0, received {learning_rate}"
        )
    if resume is not None:
        for option, value in (
            ("--model", model),
            ("--learning-rate", learning_rate),
            ("--convolution", convolution),
        ):
            if value is not None:
                raise ConfigurationError(
                    f"{option}: comes from the run that --resume names; leave it out"
                )
    elif accept_changes:
        raise ConfigurationError("--accept-changes: is for --resume alone; leave it out")
    scheduler = open_run(resume, device, threads) if resume is not None else None
    first_seed = scheduler.model.seed if scheduler is not None else (seed or 0)
    if seed is not None and seed != first_seed:
        raise ConfigurationError(
            f"--seed: the run {resume} has seed {first_seed}, which orders its data, received "
            f"{seed}; leave it out"
        )
    table = table_of(label, delimiter, decimal, header)
    size = parse_size(image_size) if image_size else None
    if scheduler is not None:
        size, batch_size = size or recorded_size(scheduler), batch_size or recorded_batch(scheduler)
    sets = read_data(data, first_seed, size, table)
    loader = DataLoader(
        sets.train, batch_size=batch_size or BATCH_SIZE, shuffle=True, seed=first_seed
    )
    if scheduler is not None:
        check_classifier(scheduler.model, str(resume))
        loader = with_recorded_transforms(scheduler, loader)
        notes = check_same(scheduler, loader, accept_changes, str(resume))
        total = epochs_in_all(scheduler, loader, epochs, str(resume))
        sets = replace(sets, note="; ".join([*([sets.note] if sets.note else []), *notes]))
        plan = Plan(scheduler, loader, sets, total, str(resume))
    else:
        net = build(
            model or MODEL,
            input_shape=sets.train.sample_shape,
            classes=sets.classes,
            seed=first_seed,
            device=str(device),
            threads=threads,
            convolution=str(convolution or Convolution.direct),
        )
        total = epochs or EPOCHS
        rate = CosineDecay(
            LEARNING_RATE if learning_rate is None else learning_rate, total * len(loader)
        )
        scheduler = Scheduler(net, CrossEntropyLoss(), SGD(rate, momentum=MOMENTUM))
        plan = Plan(scheduler, loader, sets, total, model or MODEL)
    _announce(plan, out, data)
    _carry_out(plan, out, output)


def _announce(plan: Plan, out: Output, source: str) -> None:
    scheduler, train_set = plan.scheduler, plan.data.train
    model = scheduler.model
    parameters = sum(parameter.size for parameter in model.parameters.values())
    found = train_set.describe()
    notes = (*plan.data.notes, *plan.loader.notes)
    out.json(
        event="start",
        model=plan.name,
        parameters=parameters,
        data=source,
        train_samples=len(train_set),
        test_samples=len(plan.data.test),
        epochs=plan.epochs,
        epoch=scheduler.epoch,
        batch=scheduler.batch,
        steps=plan.steps_left,
        batch_size=plan.loader.batch_size,
        seed=model.seed,
        device=model.backend.describe(),
        convolution=model.convolution,
        notes=notes,
        warnings=found.warnings,
    )
    out.line(
        f"{plan.name}: {parameters:,} parameters, {model.dtype}, on {model.backend.describe()}"
    )
    if model.convolution != "direct":
        out.line(f"convolutions: {model.convolution}")
    out.line(
        f"{source}: {len(train_set):,} samples of {shape_text(train_set.sample_shape)} to train "
        f"on, {len(plan.data.test):,} to test, {plan.data.classes} classes"
    )
    tell(replace(found, notes=notes), out)
    if scheduler.global_step:
        out.line(f"goes on at epoch {scheduler.epoch + 1}, batch {scheduler.batch}")


class _Watcher:
    """Listens to a run: shows it, saves it now and then, and ends it when that is asked for.

    Parameters
    ----------
    scheduler : Scheduler
    report : Reporter
    target : Path or None
        Where to save.

    Attributes
    ----------
    reason : str
        Why `fit` ended.
    """

    def __init__(self, scheduler: Scheduler, report: Reporter, target: Path | None) -> None:
        self.scheduler, self.report, self.target = scheduler, report, target
        self.asked = False
        self.reason = "stopped"
        self._saved = time.monotonic()

    def interrupt(self) -> None:
        """Ask the run to end after the step it is in."""
        self.asked = True
        self.scheduler.stop()

    def __call__(self, event: Event) -> None:
        """Take an event of the scheduler."""
        self.report(event)
        if isinstance(event, FitFinished):
            self.reason = event.reason
        elif isinstance(event, EpochFinished) and self.target is not None:
            if time.monotonic() - self._saved > SAVE_EVERY_S:
                save(self.scheduler, self.target)
                self._saved = time.monotonic()
        elif isinstance(event, FitStarted) and self.asked:
            self.scheduler.stop()  # `fit` forgets at its start what was asked before
        elif isinstance(event, Compiling) and self.asked:
            raise _Left


def _carry_out(plan: Plan, out: Output, target: Path | None) -> None:
    """Train, save, and say how it went.

    Raises
    ------
    Interrupted
        If somebody wanted it to end earlier; the run is saved then.
    """
    scheduler = plan.scheduler
    report = reporter(out, plan.epochs)
    watcher = _Watcher(scheduler, report, target)
    end = scheduler.listen(watcher)
    begin = time.perf_counter()
    try:
        with on_interrupt(watcher.interrupt), report:
            try:
                with contextlib.suppress(_Left):
                    scheduler.fit(
                        plan.loader, epochs=plan.epochs - scheduler.epoch, validation=plan.data.test
                    )
            except KeyboardInterrupt:
                raise Interrupted("interrupted twice: left at once, without saving") from None
            if target is not None:
                save(scheduler, target)
            if watcher.reason != "finished":
                _leave(scheduler, out, target)
    finally:
        end()
    _conclude(plan, out, target, time.perf_counter() - begin)


def _leave(scheduler: Scheduler, out: Output, target: Path | None) -> None:
    """Raise what ends the command before the run is finished."""
    place = f"epoch {scheduler.epoch + 1}, batch {scheduler.batch}"
    out.json(
        event="stopped",
        epoch=scheduler.epoch,
        batch=scheduler.batch,
        steps=scheduler.global_step,
        output=target,
    )
    if target is None:
        raise Interrupted(f"interrupted at {place}; not saved, because there is no --output")
    raise Interrupted(
        f"interrupted at {place}; saved, go on with: convscope train --resume {target} --output "
        f"{target}"
    )


def _conclude(plan: Plan, out: Output, target: Path | None, seconds: float) -> None:
    history = plan.scheduler.history
    accuracy = history.accuracies[-1] if history.accuracies else math.nan
    loss = history.validations[-1] if history.validations else math.nan
    out.json(
        event="end",
        accuracy=accuracy,
        loss=loss,
        epochs=plan.epochs,
        steps=plan.scheduler.global_step,
        seconds=round(seconds, 3),
        output=target,
    )
    out.line(
        f"test accuracy {percent(accuracy)}, test loss {loss:.4f} after {plan.epochs} "
        f"epoch{'s' * (plan.epochs != 1)}, {duration(seconds)}",
        style="bold",
    )
    if target is not None:
        out.line(f"saved to {target}", fold=False)
    else:
        out.line("not saved; --output FILE would")
