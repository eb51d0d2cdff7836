"""`convscope predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from engine import Scheduler
from engine.commands.matching import class_text, test_set
from engine.commands.options import (
    DebugOption,
    DecimalOption,
    DelimiterOption,
    Device,
    DeviceOption,
    HeaderOption,
    JsonOption,
    LabelOption,
    PreparationOption,
    RunArgument,
    SeedOption,
    ThreadsOption,
)
from engine.commands.output import Output, percent, table
from engine.commands.runs import check_classifier, decide, open_run
from engine.commands.sources import Table, table_of
from engine.data.preparing import Preparation
from engine.errors import ConfigurationError


def predict(
    run: RunArgument,
    pictures: Annotated[
        list[Path] | None, typer.Argument(metavar="PICTURE...", help="PNG, JPEG, BMP, WebP or npy.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="mnist|PATH", help="Predict the test set of these data instead."),
    ] = None,
    label: LabelOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    preparation: PreparationOption = Preparation.auto,
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
    ready = [scheduler.record.picture(path, model.input_shape, how) for path in pictures]
    classes, confidence = decide(model, np.stack([one.x for one in ready]), run)
    for path, one, kind, share in zip(pictures, ready, classes, confidence, strict=True):
        name = scheduler.record.name_of(int(kind))
        out.json(
            prediction=kind,
            **{"class": name},
            probability=share,
            picture=path,
            steps=one.steps,
        )
        shown = class_text(scheduler, int(kind))
        out.line(f"{path}: {shown} ({percent(float(share))})", "bold", fold=False)
        out.line(" → ".join(one.steps), "dim")


def _predict_data(scheduler: Scheduler, run: str, data: str, how: Table, out: Output) -> None:
    dataset = test_set(scheduler, data, how)
    x = scheduler.record.prepared(dataset.x)
    classes, confidence = decide(scheduler.model, x, run)
    has_labels = dataset.y.ndim == 1 and dataset.y.dtype == np.int64
    for number, (kind, share) in enumerate(zip(classes, confidence, strict=True)):
        label = {"label": dataset.y[number]} if has_labels else {}
        name = scheduler.record.name_of(int(kind))
        out.json(prediction=kind, **{"class": name}, probability=share, **label)
    rows = []
    for kind in np.unique(classes):
        of_kind = classes == kind
        right = percent(float((dataset.y[of_kind] == kind).mean())) if has_labels else ""
        rows.append(
            (
                class_text(scheduler, int(kind)),
                f"{of_kind.sum():,}",
                right,
                percent(float(confidence[of_kind].mean())),
            )
        )
    columns = ("prediction", "samples", "right", "mean probability")
    for note in dataset.notes:
        out.line(f"note: {note}")
    out.show(table(columns, rows, right=columns[1:]))
    out.line(f"{len(dataset):,} samples; --json tells each of them, in order")
