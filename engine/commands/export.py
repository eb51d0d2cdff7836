"""`convscope export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.options import (
    DebugOption,
    Device,
    DeviceOption,
    JsonOption,
    RunArgument,
    SeedOption,
    ThreadsOption,
)
from engine.commands.output import Output, shape_text
from engine.commands.runs import check_output, open_run
from engine.errors import ConfigurationError
from engine.io.onnx.export import OPSET, Batch, export_onnx

DYNAMIC = "dynamic"


def export(
    run: RunArgument,
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="The file to write, net.onnx.")],
    batch: Annotated[
        str,
        typer.Option(metavar="N|dynamic", help="How many samples at once; dynamic: any number."),
    ] = DYNAMIC,
    opset: Annotated[
        int, typer.Option(metavar="N", help="Version of the operators, 14 or newer.")
    ] = OPSET,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a trained network as an ONNX file for other programs to run."""
    out = Output(as_json)
    check_output(onnx, "ONNX")
    size = _batch(batch)
    scheduler = open_run(run, device, threads)
    model = scheduler.model
    export_onnx(model, onnx, opset=opset, batch=size, record=scheduler.record)
    shapes = {name: model.node(name).output_shape for name in (*model.inputs, *model.outputs)}
    out.json(
        output=str(onnx),
        bytes=onnx.stat().st_size,
        opset=opset,
        batch=size,
        inputs={name: shapes[name] for name in model.inputs},
        outputs={name: shapes[name] for name in model.outputs},
    )
    ends = [
        ", ".join(f"{name} {shape_text(shapes[name])}" for name in names)
        for names in (model.inputs, model.outputs)
    ]
    out.line(f"{ends[0]} to {ends[1]}, batch {batch}, opset {opset}")
    out.line(f"wrote {onnx}, {onnx.stat().st_size:,} bytes", fold=False)


def _batch(text: str) -> Batch:
    """Return the number of samples that was asked for.

    Raises
    ------
    ConfigurationError
        If it is neither a positive number nor the word.
    """
    if text == DYNAMIC:
        return "dynamic"
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ConfigurationError(
            f"--batch: expected a positive number or {DYNAMIC}, received {text!r}"
        )
    return int(text)
