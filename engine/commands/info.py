"""`convscope info`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.text import Text

from engine import Scheduler
from engine.commands.options import (
    DebugOption,
    Device,
    DeviceOption,
    JsonOption,
    RunArgument,
    SeedOption,
    ThreadsOption,
)
from engine.commands.output import Output, facts, number, percent, table
from engine.commands.runs import open_run
from engine.config import Configurable, encode
from engine.debug.wording import batch_words
from engine.record import classes_text, loader_text, pictures_text
from engine.summary import rows as summary_rows

EPOCHS_SHOWN = 20


def info(
    run: RunArgument,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Describe a run file: its layers, how it is trained, and how that went."""
    out = Output(as_json)
    scheduler = open_run(run, device, threads)
    out.json(**_data(scheduler, run))
    out.show(facts(_facts(scheduler, run)))
    _show_layers(scheduler, out)
    _show_history(scheduler, out)


def _data(scheduler: Scheduler, run: str) -> dict[str, Any]:
    """Return everything as one JSON object."""
    model, history = scheduler.model, scheduler.history
    columns = ("name", "layer", "output_shape", "parameters", "multiply_adds", "receptive_field")
    layers = []
    for node, row in zip(model.nodes, summary_rows(model), strict=True):
        entry = dict(zip(columns, row, strict=True))
        layers.append({**entry, "output_shape": node.output_shape})
    return {
        "run": run,
        "layers": layers,
        "parameters": sum(parameter.size for parameter in model.parameters.values()),
        "seed": model.seed,
        "dtype": model.dtype,
        "convolution": model.convolution,
        "device": model.backend.describe(),
        "classes": scheduler.record.classes,
        "pictures": _pictures_data(scheduler),
        "loader": scheduler.record.settings or None,
        "chapters": len(scheduler.record.chapters),
        "loss": encode(scheduler.loss),
        "optimizer": encode(scheduler.optimizer),
        "epoch": scheduler.epoch,
        "batch": scheduler.batch,
        "steps": scheduler.global_step,
        "learning_rate": scheduler.optimizer.rate(scheduler.global_step),
        "history": {
            "loss": history.epochs,
            "test_loss": history.validations,
            "accuracy": history.accuracies,
        },
    }


def _pictures_data(scheduler: Scheduler) -> dict[str, Any] | None:
    record = scheduler.record
    if record.newest is None:
        return None
    look = {} if record.look is None else record.look.to_data()
    return {**look, "preprocessing": record.preprocessing}


def settings_text(thing: Configurable) -> str:
    """Return ``SGD(learning_rate=0.05, momentum=0.9)``: what differs from nothing, in one line."""
    parts = []
    for name in thing.config():
        value = getattr(thing, name)
        if value is None or value is False or (name != "learning_rate" and value == 0):
            continue
        parts.append(f"{name}={settings_text(value) if isinstance(value, Configurable) else value}")
    return f"{type(thing).__name__}({', '.join(parts)})"


def _facts(scheduler: Scheduler, run: str) -> list[tuple[str, str]]:
    model, history = scheduler.model, scheduler.history
    parameters = sum(parameter.size for parameter in model.parameters.values())
    path = Path(run)
    size = f", {path.stat().st_size / 1e6:.2f} MB" if path.is_file() else ""
    rows = [
        ("run", f"{run}{size}"),
        ("model", f"{parameters:,} parameters, {model.dtype}, seed {model.seed}"),
        ("device", model.backend.describe()),
        ("convolution", model.convolution),
        ("classes", classes_text(scheduler.record)),
        ("pictures", pictures_text(scheduler.record)),
        ("data", loader_text(scheduler.record)),
        ("loss", settings_text(scheduler.loss)),
        ("optimiser", settings_text(scheduler.optimizer)),
        (
            "position",
            f"{batch_words(scheduler.epoch, scheduler.batch)}, {scheduler.global_step:,} steps",
        ),
        ("next rate", number(scheduler.optimizer.rate(scheduler.global_step), 4)),
    ]
    if history.accuracies:
        best = max(history.accuracies)
        rows.append(("accuracy", f"{percent(history.accuracies[-1])}, best {percent(best)}"))
    return rows


def _show_layers(scheduler: Scheduler, out: Output) -> None:
    data = summary_rows(scheduler.model)
    columns = ("name", "layer", "output shape", "parameters", "multiply-adds", "sees")
    rows: list[tuple[str | Text, ...]] = [
        (name, kind, shape, f"{parameters:,}", f"{work:,}", field)
        for name, kind, shape, parameters, work, field in data
    ]
    parameters, work = (f"{sum(row[i] for row in data):,}" for i in (3, 4))  # type: ignore[misc]
    rows.append((Text("in all", style="bold"), "", "", parameters, work, ""))
    out.line()
    out.show(table(columns, rows, right=columns[3:5]))


def _show_history(scheduler: Scheduler, out: Output) -> None:
    history = scheduler.history
    if not history.epochs:
        return
    first = max(len(history.epochs) - EPOCHS_SHOWN, 0)

    def cell(values: list[float], epoch: int, show: Callable[[float], str]) -> str:
        return show(values[epoch]) if len(values) == len(history.epochs) else ""

    rows = [
        (
            str(epoch + 1),
            f"{history.epochs[epoch]:.4f}",
            cell(history.validations, epoch, "{:.4f}".format),
            cell(history.accuracies, epoch, percent),
        )
        for epoch in range(first, len(history.epochs))
    ]
    columns = ("epochs", "loss", "test loss", "accuracy")
    out.line()
    out.show(table(columns, rows, right=columns))
    if first:
        out.line(f"the last {EPOCHS_SHOWN} of {len(history.epochs)} epochs; --json tells all")
