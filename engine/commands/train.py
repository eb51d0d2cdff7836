"""`convscope train`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from engine import Scheduler
from engine.commands.datasets import Data, read_data, tell
from engine.commands.keeping import size_of_run
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
from engine.commands.output import Output, shape_text
from engine.commands.resuming import (
    check_same,
    epochs_in_all,
    recorded_batch,
    recorded_size,
    with_recorded_transforms,
)
from engine.commands.runs import check_classifier, check_output, open_run
from engine.commands.sources import table_of
from engine.commands.training import carry_out
from engine.data import DataLoader
from engine.debug.wording import batch_words
from engine.errors import ConfigurationError
from engine.losses import CrossEntropyLoss
from engine.optimizers import SGD
from engine.schedules import CosineDecay
from engine.zoo import build

MODEL = "lenet5"
EPOCHS = 5
BATCH_SIZE = 64
LEARNING_RATE = 0.05
MOMENTUM = 0.9


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
    check_output(output, size=size_of_run(plan.scheduler, plan.steps_left))
    _announce(plan, out, data)
    carry_out(plan, out, output)


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
        out.line(f"goes on at {batch_words(scheduler.epoch, scheduler.batch)}")
