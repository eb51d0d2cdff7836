"""`convscope explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.commands.explaining import explanation_data, show_explanation
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
    PictureOption,
    PreparationOption,
    RunArgument,
    SampleOption,
    SeedOption,
    ThreadsOption,
    parse_index,
)
from engine.commands.output import Output
from engine.commands.runs import open_run
from engine.commands.sessions import forward_session, gather, training_session
from engine.commands.sources import table_of
from engine.data.preparing import Preparation

BATCH = 8
"""Samples that are run; sums over a batch stay short enough to be read."""


def explain(
    run: RunArgument,
    layer: Annotated[str, typer.Option(help="Name of the layer, or 'loss'.")],
    index: Annotated[str, typer.Option(help="Place in the tensor, the sample first: 0,5,7,4.")],
    tensor: Annotated[
        str,
        typer.Option(
            help="output, input.gradient, grad_output, weight.gradient, weight, bias.gradient ..."
        ),
    ] = "output",
    everything: Annotated[
        bool, typer.Option("--all", help="Show every term of a long sum.")
    ] = False,
    picture: PictureOption = None,
    preparation: PreparationOption = Preparation.auto,
    sample: SampleOption = 0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Samples that are run, from --sample on.")
    ] = BATCH,
    data: DataOption = "mnist",
    label: LabelOption = None,
    delimiter: DelimiterOption = None,
    decimal: DecimalOption = None,
    header: HeaderOption = None,
    device: DeviceOption = Device.auto,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell where one number comes from: every multiply-add in the engine's order, to the last bit.

    Outputs come from a forward pass; gradients and updates from one training step.
    """
    out = Output(as_json)
    where = parse_index(index)
    scheduler = open_run(run, device, threads)
    table = table_of(label, delimiter, decimal, header)
    material = gather(scheduler, data, sample, batch_size, picture, table, preparation)
    is_forward = tensor == "output" and layer != "loss"
    make = forward_session if is_forward else training_session
    session = make(scheduler, material)
    session.resume()
    explanation = session.explain(layer=layer, index=where, tensor=tensor)
    out.json(**explanation_data(explanation))
    show_explanation(explanation, out, everything)
