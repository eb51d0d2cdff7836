"""The graph that layers build when they are called on nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine import arguments
from engine.errors import ConfigurationError, EngineError, ShapeError, shown
from engine.layers.base import RESERVED as LAYER_NAMES
from engine.layers.base import Layer
from engine.shapes import with_batch
from engine.typing import Shape

RESERVED = {
    **LAYER_NAMES,
    "epoch": "the number that conditions call so",
    "batch": "the number that conditions call so",
    "step": "the number that conditions call so",
    "rates": "what the optimiser is given in every step",
    "counters": "seed and step",
}
"""Names that no input can have: its tensor bears the name alone; a layer's is ``a.output``."""


@dataclass(eq=False)
class Node:
    """The output of one layer application, or an input of the model.

    Parameters
    ----------
    layer : Layer or None
        None for an input.
    inputs : tuple of Node
    output_shape : Shape
        Without batch axis.
    name : str
        Given by the user or, when a model is made of the graph, by the model.
    """

    layer: Layer | None
    inputs: tuple[Node, ...]
    output_shape: Shape
    name: str = ""
    integer: bool = field(default=False)

    @property
    def label(self) -> str:
        """A name for error texts, also before the model has named the node."""
        if self.name:
            return self.name
        return "input" if self.layer is None else type(self.layer).__name__


def Input(shape: Shape | int, name: str | None = None) -> Node:  # noqa: N802  (used like a class)
    """Return an input of a model, without batch axis: ``Input((3, 32, 32))``.

    Parameters
    ----------
    shape : int or sequence of int
    name : str, optional
        As of a layer, and not one of `RESERVED`; None lets the model name it.

    Raises
    ------
    ShapeError
        If a size is not a positive integer.
    ConfigurationError
        If the name could not be told from the name of another tensor.
    """
    sizes = tuple(shape) if arguments.is_sequence(shape) else (shape,)
    if not sizes or not all(
        arguments.is_whole(size) and 1 <= size <= arguments.LARGEST for size in sizes
    ):
        raise ShapeError(
            "Input shape: expected whole numbers of at least 1 without batch axis, such as "
            f"(1, 28, 28), received {shown(shape)}"
        )
    if name is not None:
        name = arguments.name("Input name", name, RESERVED)
    return Node(None, (), tuple(int(size) for size in sizes), name or "")


def apply(layer: Layer, inputs: tuple[Node, ...], name: str = "") -> Node:
    """Return the node of `layer` applied to `inputs`; errors name it and what is before it."""
    label = name or layer.name or type(layer).__name__
    for node in inputs:
        if not isinstance(node, Node):
            raise ConfigurationError(
                f"{label}: expected nodes (from Input or another layer), "
                f"received {type(node).__name__}; "
                "to run numbers through a net, make a Model of it and call that"
            )
    least, most = layer.op.inputs
    if len(inputs) < least or (most is not None and len(inputs) > most):
        wanted = (
            str(least)
            if most == least
            else f"at least {least}"
            if most is None
            else f"{least} to {most}"
        )
        raise ConfigurationError(f"{label}: expected {wanted} inputs, received {len(inputs)}")
    before = ", ".join(node.label for node in inputs)
    try:
        shape = layer.op.output_shape(*(node.output_shape for node in inputs))
    except EngineError as error:
        raise type(error)(f"{label} (after {before}): {error}") from None
    if any(size < 1 for size in shape):
        raise ShapeError(f"{label} (after {before}): the output {with_batch(shape)} would be empty")
    return Node(layer, inputs, shape, layer.name or "")
