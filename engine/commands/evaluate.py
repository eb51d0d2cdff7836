"""`convscope evaluate`."""

from __future__ import annotations

from typing import Annotated, Any

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
from engine.metrics import COLUMNS, ClassReport, confusion_matrix, per_class
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
    by_class: Annotated[
        bool, typer.Option("--per-class", help="Also precision, recall and F1 of every class.")
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
    matrix = report = None
    if confusion or by_class:
        check_classifier(scheduler.model, run)
        ignored, scores = (
            scheduler.loss.ignore_index,
            scheduler.predict(scheduler.record.prepared(dataset.x)),
        )
        names = dataset.classes if len(dataset.classes or ()) == scores.shape[1] else None
        report = per_class(scores, dataset.y, ignored, names)
        matrix = confusion_matrix(scores, dataset.y, ignored)
    more: dict[str, Any] = {} if matrix is None or not confusion else {"confusion": matrix}
    more |= {} if report is None or not by_class else {"per_class": report.to_data()}
    more |= {"first_nan": result.first_nan} if result.nan else {}
    out.json(
        accuracy=result.accuracy,
        loss=result.loss,
        samples=result.samples,
        counted=result.counted,
        skipped=result.skipped,
        note=result.note,
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
        wrong = result.counted - round(result.accuracy * result.counted)
        of = "" if result.counted == result.samples else f" of {result.counted:,} judged"
        rows.append(("accuracy", f"{percent(result.accuracy)}, {wrong:,} wrong{of}"))
    if result.note:
        rows.append(("note", result.note))
    tell(found, out)
    out.show(facts(rows))
    if report is not None and matrix is not None and confusion:
        _show_matrix(matrix, report, out)
    if report is not None and by_class:
        out.line()
        out.show(table(COLUMNS, report.rows(), right=COLUMNS[1:]))


def _show_matrix(matrix: Array, report: ClassReport, out: Output) -> None:
    """Show counts: row is the label, column the prediction."""
    names = report.names
    columns = ["label", *names, "right"]
    rows: list[list[str | Text]] = []
    for label, counts in enumerate(matrix):
        cells: list[str | Text] = [names[label]]
        for predicted, count in enumerate(counts):
            style = "bold" if predicted == label else ("dim" if not count else "red")
            cells.append(Text(str(count) if count else ".", style=style))
        rows.append([*cells, percent(report.recall[label]) if report.support[label] else "–"])
    out.line()
    out.show(table(columns, rows, right=columns, title="label down, prediction across"))
