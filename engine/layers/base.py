"""Layers: constructor checks, parameters, and one op."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from engine import arguments, regularizers
from engine.config import Configurable, call_text, encode, note_change
from engine.device import Arena, Buffer, Role
from engine.errors import ConfigurationError, ShapeError, StateError
from engine.guard import Guard, Guards
from engine.initializers import Initializer
from engine.ops.base import Op
from engine.random import stream_of
from engine.regularizers import Regularizer
from engine.typing import Array, Shape

if TYPE_CHECKING:
    from engine.layers.graph import Node

RESERVED = {"loss": "the loss"}
"""Names that no layer and no input can have, and what bears them."""
MOST_AXES = 32
"""Of an array; an axis beyond is a mistake."""
SETTABLE = ("value", "trainable", "regularizer", "guard", "buffer", "gradient_buffer")
"""What of a parameter can be assigned; the last three by the model it belongs to."""


class Parameter:
    """A tensor that training changes, with its gradient.

    Parameters
    ----------
    shape : Shape
    role : Role
        Decides the layout a backend may choose.
    initializer : Initializer
    regularizer : Regularizer or None
        Assign another one, and it is in force from the next step on.
    trainable : bool
        A frozen parameter gets no gradient and no update; assign to freeze or thaw it from the next
        step on.
    """

    def __init__(
        self,
        shape: Shape,
        role: Role,
        initializer: Initializer,
        regularizer: Regularizer | None = None,
        trainable: bool = True,
    ) -> None:
        self._shape, self._role, self._initializer = shape, role, initializer
        self._regularizer, self._trainable = regularizer, trainable
        self._name = ""
        self.guard: Guard | Guards = Guard()
        """Whose turn it is to use or change the memory."""
        self.buffer: Buffer | None = None
        self.gradient_buffer: Buffer | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelt name would otherwise be kept and never looked at.
        if name not in SETTABLE and not name.startswith("_"):
            raise ConfigurationError(
                f"{self._name or 'parameter'}.{name}: only value, trainable and regularizer can "
                f"be assigned"
            )
        object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """Full name, ``"conv1.weight"``; empty before its layer belongs to a model."""
        return self._name

    @property
    def shape(self) -> Shape:
        """Public shape."""
        return self._shape

    @property
    def role(self) -> Role:
        """What it is, which lets a backend choose a layout."""
        return self._role

    @property
    def initializer(self) -> Initializer:
        """What made its first value."""
        return self._initializer

    @property
    def regularizer(self) -> Regularizer | None:
        """The penalty on it, or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value: Regularizer | None) -> None:
        where = f"{self._name or 'parameter'}.regularizer"
        value = regularizers.checked(where, value)
        self._regularizer = value
        note_change()

    @property
    def trainable(self) -> bool:
        """Whether training changes it."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = arguments.flag(f"{self._name or 'parameter'}.trainable", value)
        self._trainable = value
        note_change()

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def belongs_to(self, name: str, guard: Guard | Guards) -> None:
        """Take the name and the guard that the model gives it."""
        self._name, self.guard = name, guard

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
        buffer = self.attached()
        with self.guard.using():
            array = buffer.read()
        array.flags.writeable = False
        return array

    @value.setter
    def value(self, array: Array) -> None:
        given = arguments.array(f"{self.name or 'parameter'} value", array)
        if given.shape != self.shape:
            raise ShapeError(
                f"{self.name or 'parameter'} value: expected values of shape {self.shape}, "
                f"received {given.shape}"
            )
        buffer = self.attached()
        with self.guard.changing():
            buffer.write(given)

    @property
    def gradient(self) -> Array:
        """A read-only copy of the gradient of the newest backward pass (zeros before the first)."""
        self.attached()
        if self.gradient_buffer is None:
            raise StateError(f"{self.name}: this parameter has no gradient memory")
        with self.guard.using():
            array = self.gradient_buffer.read()
        array.flags.writeable = False
        return array

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", frozen"
        return f"Parameter({self.name or 'unnamed'}, shape={self.shape}{frozen})"


def check_bias(kind: str, value: object) -> bool:
    """Return whether a layer has a bias; a text is nearly always a misplaced activation.

    Run files of version 1 say None where there is none.
    """
    if value is None:
        return False
    advice = "an activation is a layer of its own, such as ReLU()" if isinstance(value, str) else ""
    return arguments.flag(f"{kind} bias", value, advice)


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

    acting: ClassVar[tuple[str, ...]] = ()
    """Settings that can be assigned later and are in force from the next step on; the others decide
    shapes and memory, so they are fixed once the layer is made."""

    def __init__(self, op: Op, name: str | None) -> None:
        if name is not None:
            name = arguments.name(f"{type(self).__name__} name", name, RESERVED)
        self.op, self.name = op, name
        self.parameters: dict[str, Parameter] = arguments.Named("parameter")
        self.initial_state: dict[str, Array] = {}
        self.state: dict[str, Buffer] = {}
        self._streams: dict[str, int] = {}

    def stream(self, node: str) -> int:
        """Return the number of the random stream of one use of this layer, by its node's name.

        What else a model has in it makes no difference.
        """
        return self._streams.get(node, stream_of(node))

    def keep_stream(self, node: str, number: int) -> None:
        """Let a use of this layer draw from another stream: that of a run which goes on here."""
        self._streams[node] = number

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments; an argument such as ``bias`` may name a parameter."""
        return {name: encode(value) for name, value in self._settings().items()}

    def _settings(self) -> dict[str, Any]:
        """Return what the constructor would have to be given to make this layer."""
        settings: dict[str, Any] = {}
        for name, argument in inspect.signature(type(self)).parameters.items():
            if name not in self.transient:
                value = getattr(self, name)
                has = isinstance(value, Parameter) or bool(value)
                settings[name] = has if isinstance(argument.default, bool) else value
        return settings

    def _assign(self, name: str, value: Any) -> None:
        """Change one setting, if it is one that can act later."""
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        label = self.name or type(self).__name__
        if name in self.parameters:
            raise ConfigurationError(
                f"{label}.{name}: a parameter cannot be replaced, only its numbers: "
                f'write to model["{label}"].{name}.value'
            )
        settings = self._settings()
        if name in self.acting:
            self._take(type(self)(**{**settings, name: value}))
        elif name in settings:
            raise ConfigurationError(
                f"{label}.{name}: fixed when the layer was made; make a new "
                f"{type(self).__name__}({name}=...) and a model of it"
                + (f" (what can be assigned: {', '.join(self.acting)})" if self.acting else "")
            )
        else:
            super()._assign(name, value)

    def _take(self, changed: Configurable) -> None:
        """Take over settings and op; the parameters stay, with the new penalties."""
        if not isinstance(changed, Layer):
            return
        taken = {name: getattr(changed, name) for name in self.acting}
        self.__dict__.update(op=changed.op, **taken)
        for name, parameter in self.parameters.items():
            parameter.regularizer = changed.parameters[name].regularizer
        note_change()

    def twin(self, name: str | None) -> Layer:
        """Return a layer with the same settings, under another name and with numbers of its own."""
        made = type(self)(**{**self._settings(), "name": name})
        for key, parameter in self.parameters.items():
            made.parameters[key].trainable = parameter.trainable
            made.parameters[key].regularizer = parameter.regularizer
        return made

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
        flag = arguments.flag(f"{self.name or type(self).__name__}.trainable", value)
        for parameter in self.parameters.values():
            parameter.trainable = flag

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
        return call_text(type(self), self._settings())
