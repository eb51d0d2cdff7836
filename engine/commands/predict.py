"""`convscope predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from engine import Scheduler
from engine.commands.datasets import read_test
from engine.commands.options import (
    DebugOption,
    DecimalOption,
    DelimiterOption,
    Device,
    DeviceOption,
    HeaderOption,
    JsonOption,
    LabelOption,
    RunArgument,
    SeedOption,
    ThreadsOption,
)
from engine.commands.output import Output, percent, table
from engine.commands.pictures import Preparation, prepare
from engine.commands.runs import check_classifier, decide, open_run
from engine.commands.sources import Table, table_of
from engine.errors import ConfigurationError


def predict(
    run: RunArgument,
    pictures: Annotated[
        list[Path] | None, typer.Argument(metavar="PICTURE...", help="PNG, JPEG, BMP or WebP.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="mnist|PATH", help="Predict the test set of these data instead."),
    ] = None,
    label: LabelOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    preparation: Annotated[
        Preparation,
        typer.Option(
            help="digit: as MNIST's digits; plain: resample only; auto: by the net's input."
        ),
    ] = Preparation.auto,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell the class of pictures, drawn digits among them, or of a test set."""
    out = Output(as_json)
    if bool(pictures) == (data is not None):
        received = "both" if pictures else "neither"
        raise ConfigurationError(
            f"predict: expected pictures or --data, received {received}; for example: convscope "
            f"predict {run} digit.png, or convscope predict {run} --data mnist"
        )
    scheduler = open_run(run, device, threads)
    check_classifier(scheduler.model, run)
    if data is not None:
        how = table_of(label, delimiter, decimal, header)
        _predict_data(scheduler, run, data, how, out)
    else:
        _predict_pictures(scheduler, run, pictures or [], preparation, out)


def _predict_pictures(
    scheduler: Scheduler, run: str, pictures: list[Path], how: Preparation, out: Output
) -> None:
    model = scheduler.model
    # All are read before anything is printed: a wrong one is then the only thing that is said.
    ready = [prepare(path, model.input_shape, how) for path in pictures]
    classes, confidence = decide(model, np.stack([one.x for one in ready]), run)
    for path, one, kind, share in zip(pictures, ready, classes, confidence, strict=True):
        out.json(prediction=kind, probability=share, picture=path, steps=one.steps)
        out.line(f"{path}: {kind} ({percent(float(share))})", "bold", fold=False)
        out.line(" → ".join(one.steps), "dim")


def _predict_data(scheduler: Scheduler, run: str, data: str, how: Table, out: Output) -> None:
    dataset = read_test(data, scheduler.model.input_shape, how)
    classes, confidence = decide(scheduler.model, dataset.x, run)
    has_labels = dataset.y.ndim == 1 and dataset.y.dtype == np.int64
    for number, (kind, share) in enumerate(zip(classes, confidence, strict=True)):
        label = {"label": dataset.y[number]} if has_labels else {}
        out.json(prediction=kind, probability=share, **label)
    rows = []
    for kind in np.unique(classes):
        of_kind = classes == kind
        right = percent(float((dataset.y[of_kind] == kind).mean())) if has_labels else ""
        rows.append(
            (str(kind), f"{of_kind.sum():,}", right, percent(float(confidence[of_kind].mean())))
        )
    columns = ("prediction", "samples", "right", "mean probability")
    out.show(table(columns, rows, right=columns[1:]))
    out.line(f"{len(dataset):,} samples; --json tells each of them, in order")
