"""The list of builders, for the command line and the window."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engine.errors import UnknownName
from engine.layers import Layer, Node
from engine.model import Model

Builder = Callable[..., Model]
"""``builder(input_shape=(1, 28, 28), classes=10, **model_settings) -> Model``; the default shape is
that of the data the net was made for."""

Made = TypeVar("Made", bound=Builder)

BUILDERS: dict[str, Builder] = {}
"""Every builder by the name of its function."""


def builder(function: Made) -> Made:
    """Register a function under its own name."""
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
    if name not in BUILDERS:
        raise UnknownName("model", name, BUILDERS)
    return BUILDERS[name](**settings)


def describe(name: str) -> str:
    """Return the first line of a builder's docstring."""
    if name not in BUILDERS:
        raise UnknownName("model", name, BUILDERS)
    return (inspect.getdoc(BUILDERS[name]) or "").partition("\n")[0]


def chain(node: Node, layers: Sequence[Layer]) -> Node:
    """Apply layers one after the other and return the last node."""
    for layer in layers:
        node = layer(node)
    return node
