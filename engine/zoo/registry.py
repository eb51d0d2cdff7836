"""The list of builders, for the command line and the window."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engine import arguments
from engine.errors import ShapeError
from engine.layers import Input, Layer, Node
from engine.model import Model
from engine.shapes import sizes

Builder = Callable[..., Model]
"""``builder(input_shape=(1, 28, 28), classes=10, **model_settings) -> Model``; the default shape is
that of the data the net was made for."""

Made = TypeVar("Made", bound=Builder)

BUILDERS: dict[str, Builder] = arguments.Named("model")
"""Every builder by the name of its function."""


def builder(function: Made) -> Made:
    """Register a function under its own name.

    Raises
    ------
    ConfigurationError
        If it is no function.
    """
    if not hasattr(function, "__name__") or isinstance(function, type):
        raise arguments.refusal("builder function", "a function that returns a Model", function)
    BUILDERS[function.__name__] = function
    return function


def build(name: str, **settings: Any) -> Model:
    """Build a network by name.

    Parameters
    ----------
    name : str
        A key of `BUILDERS`.
    settings
        ``input_shape`` (c, h, w), ``classes``, and what `Model` takes: ``seed``, ``device``,
        ``dtype``, ``threads``.

    Returns
    -------
    Model

    Raises
    ------
    UnknownName
        If there is no such network; the text lists those that exist.
    ShapeError
        If the input is too small for it.
    """
    return BUILDERS[name](**settings)


def describe(name: str) -> str:
    """Return the first line of a builder's docstring.

    Raises
    ------
    UnknownName
        If there is no such network; the text lists those that exist.
    """
    return (inspect.getdoc(BUILDERS[name]) or "").partition("\n")[0]


def checked(kind: str, input_shape: Any, classes: Any) -> tuple[Node, int, int]:
    """Return what every builder starts with: the input, its channels, and the number of classes.

    Raises
    ------
    ConfigurationError
        If one of both is of the wrong kind.
    ShapeError
        If the input is no picture.
    """
    shape = sizes(f"{kind} input_shape", input_shape)
    if len(shape) != 3:
        raise ShapeError(
            f"{kind} input_shape: expected a picture (channels, height, width), received {shape}"
        )
    return Input(shape), shape[0], arguments.whole(f"{kind} classes", classes, 1)


def chain(node: Node, layers: Sequence[Layer]) -> Node:
    """Apply layers one after the other and return the last node."""
    for layer in layers:
        node = layer(node)
    return node
