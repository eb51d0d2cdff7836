"""`convscope evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from engine.commands.datasets import tell
from engine.commands.matching import test_set
from engine.commands.options import (
    DataOption,
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
from engine.commands.output import Output, facts, percent, table
from engine.commands.progress import watched
from engine.commands.runs import check_classifier, open_run
from engine.commands.sources import table_of
from engine.metrics import confusion_matrix
from engine.typing import Array


def evaluate(
    run: RunArgument,
    data: DataOption = "mnist",
    label: LabelOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Also count which class is taken for which.")
    ] = False,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure loss and accuracy of a run on test data."""
    out = Output(as_json)
    scheduler = open_run(run, device, threads)
    how = table_of(label, delimiter, decimal, header)
    dataset = test_set(scheduler, data, how)
    found = dataset.describe()
    with watched(scheduler, out):
        result = scheduler.evaluate(dataset)
    matrix = None
    if confusion:
        check_classifier(scheduler.model, run)
        scores = scheduler.predict(scheduler.record.prepared(dataset.x))
        matrix = confusion_matrix(scores, dataset.y)
    more = {} if matrix is None else {"confusion": matrix}
    out.json(
        accuracy=result.accuracy,
        loss=result.loss,
        samples=result.samples,
        data=data,
        **more,
        notes=found.notes,
        warnings=found.warnings,
    )
    rows = [
        ("run", run),
        ("data", f"{data}, {result.samples:,} samples"),
        ("loss", f"{result.loss:.4f}"),
    ]
    if result.accuracy is not None:
        wrong = result.samples - round(result.accuracy * result.samples)
        rows.append(("accuracy", f"{percent(result.accuracy)}, {wrong:,} wrong"))
    tell(found, out)
    out.show(facts(rows))
    if matrix is not None:
        _show_matrix(matrix, out)


def _show_matrix(matrix: Array, out: Output) -> None:
    """Show counts: row is the label, column the prediction."""
    names = [str(number) for number in range(len(matrix))]
    columns = ["label", *names, "right"]
    rows: list[list[str | Text]] = []
    for label, counts in enumerate(matrix):
        cells: list[str | Text] = [names[label]]
        for predicted, count in enumerate(counts):
            style = "bold" if predicted == label else ("dim" if not count else "red")
            cells.append(Text(str(count) if count else ".", style=style))
        share = counts[label] / counts.sum() if counts.sum() else 0.0
        rows.append([*cells, percent(share)])
    out.line()
    out.show(table(columns, rows, right=columns, title="label down, prediction across"))
