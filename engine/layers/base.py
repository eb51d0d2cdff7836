"""Layers: constructor checks, parameters, and one op."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.config import Configurable, encode
from engine.device import Arena, Buffer, Role
from engine.errors import ConfigurationError, DtypeError, ShapeError, StateError
from engine.initializers import Initializer
from engine.ops.base import Op
from engine.regularizers import Regularizer
from engine.typing import Array, Shape

if TYPE_CHECKING:
    from engine.layers.graph import Node

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_/\-]*")


class Parameter:
    """A tensor that training changes, with its gradient.

    Parameters
    ----------
    shape : Shape
    role : Role
        Decides the layout a backend may choose.
    initializer : Initializer
    regularizer : Regularizer or None
    trainable : bool
        A frozen parameter gets no gradient and no update; change it before training starts.
    """

    def __init__(
        self,
        shape: Shape,
        role: Role,
        initializer: Initializer,
        regularizer: Regularizer | None = None,
        trainable: bool = True,
    ) -> None:
        self.shape, self.role, self.initializer = shape, role, initializer
        self.regularizer, self.trainable = regularizer, trainable
        self.name = ""
        self.buffer: Buffer | None = None
        self.gradient_buffer: Buffer | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def allocate(self, values: Arena, gradients: Arena, dtype: str) -> None:
        """Plan memory for value and gradient; all of a kind lie side by side."""
        self.buffer = values.request(self.name, self.shape, dtype, self.role)
        name = f"{self.name}.gradient"
        self.gradient_buffer = gradients.request(name, self.shape, dtype, self.role)

    def attached(self) -> Buffer:
        """Return the memory.

        Raises
        ------
        StateError
            If the layer is not part of a model yet.
        """
        if self.buffer is None:
            raise StateError("this parameter has no value yet: put its layer into a Model first")
        return self.buffer

    @property
    def value(self) -> Array:
        """A read-only copy of the numbers; assign to write."""
        array = self.attached().read()
        array.flags.writeable = False
        return array

    @value.setter
    def value(self, array: Array) -> None:
        given = np.asarray(array)
        if given.shape != self.shape:
            raise ShapeError(
                f"{self.name or 'parameter'}: expected values of shape {self.shape}, "
                f"received {given.shape}"
            )
        if given.dtype.kind not in "fiub":
            raise DtypeError(
                f"{self.name or 'parameter'}: expected numbers, received {given.dtype}"
            )
        self.attached().write(given)

    @property
    def gradient(self) -> Array:
        """A read-only copy of the gradient of the newest backward pass (zeros before the first)."""
        self.attached()
        if self.gradient_buffer is None:
            raise StateError(f"{self.name}: this parameter has no gradient memory")
        array = self.gradient_buffer.read()
        array.flags.writeable = False
        return array

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", frozen"
        return f"Parameter({self.name or 'unnamed'}, shape={self.shape}{frozen})"


class Layer(Configurable):
    """Base of all layers.

    A subclass checks its arguments, keeps each under its own name, calls ``super().__init__`` with
    its op, and adds parameters.

    Parameters
    ----------
    op : Op
    name : str or None
        None lets the model number it: ``conv2d1``.
    """

    def __init__(self, op: Op, name: str | None) -> None:
        if name is not None and (not isinstance(name, str) or not NAME.fullmatch(name)):
            raise ConfigurationError(
                f"{type(self).__name__} name: expected letters, digits, _, - or / "
                f"starting with a letter, received {name!r}"
            )
        self.op, self.name = op, name
        self.parameters: dict[str, Parameter] = {}
        self.initial_state: dict[str, Array] = {}
        self.state: dict[str, Buffer] = {}

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments; an argument such as ``bias`` may name a parameter."""
        names = [n for n in inspect.signature(type(self)).parameters if n not in self.transient]
        values = {name: getattr(self, name) for name in names}
        return {
            name: True if isinstance(value, Parameter) else encode(value)
            for name, value in values.items()
        }

    def add_parameter(
        self,
        name: str,
        shape: Shape,
        role: Role,
        initializer: Initializer,
        regularizer: Regularizer | None = None,
    ) -> Parameter:
        """Declare a parameter and return it."""
        self.parameters[name] = Parameter(shape, role, initializer, regularizer)
        return self.parameters[name]

    @property
    def trainable(self) -> bool:
        """Whether any parameter is trained; assign to freeze or thaw all of them."""
        return any(parameter.trainable for parameter in self.parameters.values())

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for parameter in self.parameters.values():
            parameter.trainable = bool(value)

    def __call__(self, *inputs: Node) -> Node:
        """Apply the layer to nodes of a graph and return the new node.

        Raises
        ------
        ConfigurationError
            If the number of inputs does not fit.
        ShapeError
            If their shapes do not fit.
        """
        from engine.layers.graph import apply

        return apply(self, inputs)

    def __repr__(self) -> str:
        shown = []
        for key in self.config():
            value = getattr(self, key)
            if value is not None and key != "name":
                shown.append(f"{key}={True if isinstance(value, Parameter) else value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"
