"""Which input pixels an output pixel can see.

For every node and axis: an output position p sees inputs ``p * jump + low`` to ``p * jump + high``
(both included); None means that everything is seen (dense layers, adaptive pooling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine import arguments
from engine.layers.base import Layer
from engine.shapes import sizes
from engine.typing import Index, Shape


class Span(NamedTuple):
    """How one axis of a node looks back at the same axis of the input."""

    jump: int
    low: int
    high: int


Field = tuple[Span, Span] | None


class Box(NamedTuple):
    """A half-open rectangle of input pixels; it may exceed the image where padding is seen."""

    top: int
    left: int
    bottom: int
    right: int


def field_of(
    layer: Layer, before: Sequence[Field], shapes: Sequence[Shape], output: Shape
) -> Field:
    """Return the field of a layer's output from those of its inputs.

    Parameters
    ----------
    before, shapes
        Field and shape (without batch axis) of every input.
    output : Shape
    """
    if len(output) != 3 or any(field is None for field in before):
        return None
    spans = [field for field in before if field is not None]
    if len({(field[0].jump, field[1].jump) for field in spans}) > 1:
        return None
    merged = [
        Span(spans[0][a].jump, min(f[a].low for f in spans), max(f[a].high for f in spans))
        for a in (0, 1)
    ]
    reach = layer.op.reach(*shapes)
    if reach is None:
        apart = output[1:] == shapes[0][1:] and not layer.op.mixes_positions
        return (merged[0], merged[1]) if apart else None
    result = []
    for axis, span in enumerate(merged):
        before_pixels = reach.padding[axis]
        extent = (reach.kernel[axis] - 1) * reach.dilation[axis]
        low = span.low - before_pixels * span.jump
        result.append(
            Span(
                span.jump * reach.stride[axis], low, low + extent * span.jump + span.high - span.low
            )
        )
    return result[0], result[1]


def box_of(field: Field, index: Index, image: Shape) -> Box:
    """Return the input pixels that the element at `index` (n, c, y, x) can see.

    Parameters
    ----------
    field : Field
    index : Index
    image : Shape
        Shape of the input without batch axis.

    Raises
    ------
    ConfigurationError
        If `index` is no place or `image` no shape.
    """
    _check_field("box_of field", field)
    place, shape = arguments.index("box_of index", index), sizes("box_of image", image)
    if field is None or len(place) < 4:
        height, width = (shape[1], shape[2]) if len(shape) == 3 else (1, shape[-1])
        return Box(0, 0, height, width)
    (y, x) = place[2:4]
    rows, columns = field
    return Box(
        y * rows.jump + rows.low,
        x * columns.jump + columns.low,
        y * rows.jump + rows.high + 1,
        x * columns.jump + columns.high + 1,
    )


def size_text(field: Field) -> str:
    """Return ``14x14``, or ``all``.

    Raises
    ------
    ConfigurationError
        If `field` is none.
    """
    _check_field("size_text field", field)
    if field is None:
        return "all"
    return "×".join(str(span.high - span.low + 1) for span in field)


def _check_field(where: str, field: object) -> None:
    """Refuse what is no field of a node."""
    if field is not None and not (
        isinstance(field, tuple)
        and len(field) == 2
        and all(isinstance(span, Span) for span in field)
    ):
        raise arguments.refusal(where, "a field from Model.receptive_fields(), or None", field)


Fields = Mapping[str, Field]
