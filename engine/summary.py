"""The table that `Model.summary` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.arguments import refusal
from engine.receptive_field import size_text
from engine.shapes import with_batch

if TYPE_CHECKING:
    from engine.model import Model

HEADS = ("name", "layer", "output shape", "parameters", "multiply-adds", "receptive field")


def _check_model(where: str, model: object) -> None:
    """Refuse what is no model; importing `Model` here would go round in a circle."""
    if not hasattr(model, "receptive_fields"):
        raise refusal(where, "a Model", model)


def rows(model: Model) -> list[tuple[str, str, str, int, int, str]]:
    """Return one row per node: name, layer, shape, parameters, multiply-adds, receptive field.

    Raises
    ------
    ConfigurationError
        If it is no model.
    """
    _check_model("summary rows model", model)
    fields, result, counted = model.receptive_fields(), [], set()
    for node in model.nodes:
        parameters = multiply_adds = 0
        if node.layer is not None:
            inputs = [model.node(name).output_shape for name in node.inputs]
            multiply_adds = node.layer.op.multiply_adds(node.output_shape, *inputs)
            if id(node.layer) not in counted:
                counted.add(id(node.layer))
                parameters = sum(math.prod(p.shape) for p in node.layer.parameters.values())
        kind = "Input" if node.layer is None else type(node.layer).__name__
        field = size_text(fields[node.name])
        result.append(
            (node.name, kind, with_batch(node.output_shape), parameters, multiply_adds, field)
        )
    return result


def table(model: Model) -> str:
    """Return the summary as text with aligned columns and totals.

    Raises
    ------
    ConfigurationError
        If it is no model.
    """
    _check_model("summary table model", model)
    data = rows(model)
    cells = [
        (name, kind, shape, f"{parameters:,}", f"{multiply_adds:,}", field)
        for name, kind, shape, parameters, multiply_adds, field in data
    ]
    widths = [max(len(row[i]) for row in (HEADS, *cells)) for i in range(len(HEADS))]

    def line(row: tuple[str, ...]) -> str:
        parts = [
            text.rjust(width) if i in (3, 4) else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    parameters, multiply_adds = sum(row[3] for row in data), sum(row[4] for row in data)
    itemsize = 4 if model.dtype == "float32" else 8
    memory = sum(math.prod(node.output_shape) for node in model.nodes) * itemsize
    total = (
        f"{parameters:,} parameters ({parameters * itemsize / 1e6:.2f} MB), "
        f"{multiply_adds / 1e6:,.3f} M multiply-adds and {memory / 1e3:,.1f} kB of activations "
        f"per sample, {model.dtype}"
        + ("" if model.convolution == "direct" else f", convolution {model.convolution}")
    )
    return "\n".join([line(HEADS), rule, *(line(row) for row in cells), rule, total])
