"""What an operation is: a shape rule, launches forward and backward, and an explanation.

An op is an immutable description; it holds settings and no numbers. The program gives it a `Site`
with buffers when it lowers a model, the debugger gives it a `View` with arrays when someone asks
why a number is what it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from engine.device import Buffer, Launch, Role
from engine.errors import UnknownName
from engine.explanation import Explanation
from engine.shapes import Reach
from engine.typing import Array, Index, Phase, Shape

Scratch = Callable[[str, Shape, str, Role], Buffer]
"""Makes memory of an op's own: (name, shape, dtype, role) -> buffer."""


@dataclass
class Site:
    """The buffers of one op at one place of a program.

    Parameters
    ----------
    inputs, output : buffers
        With batch axis.
    parameters, state : dict of buffers
        ``"weight"``, ``"bias"``; ``"running_mean"`` ...
    grad_output : Buffer or None
    grad_inputs : tuple of Buffer or None
        None where nobody needs the gradient.
    gradients : dict of buffers
        For the parameters that are trained; the others are missing.
    training : bool
        Whether batch statistics and dropout are in force.
    update_statistics : bool
        Whether running statistics may move.
    counters : Buffer
        int64: seed, step.
    stream : int
        A number of the layer's own for random bits.
    convolution : str
        How convolutions run; see `engine.ops.winograd`.
    """

    inputs: tuple[Buffer, ...]
    output: Buffer
    parameters: dict[str, Buffer]
    state: dict[str, Buffer]
    training: bool
    counters: Buffer
    stream: int
    make_scratch: Scratch
    update_statistics: bool = True
    convolution: str = "direct"
    grad_output: Buffer | None = None
    grad_inputs: tuple[Buffer | None, ...] = ()
    gradients: dict[str, Buffer] = field(default_factory=dict)
    saved: dict[str, Buffer] = field(default_factory=dict)

    @property
    def x(self) -> Buffer:
        """The first input."""
        return self.inputs[0]

    @property
    def grad(self) -> Buffer:
        """The gradient of the output; only while lowering a backward pass."""
        if self.grad_output is None:
            raise TypeError("this program has no backward pass")
        return self.grad_output

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self.inputs[0].shape[0]

    def scratch(
        self, name: str, shape: Shape, role: Role = "plain", integer: bool = False
    ) -> Buffer:
        """Return memory of the op's own, the same for the same name; `View.saved` can read it."""
        if name not in self.saved:
            dtype = "int64" if integer else self.output.dtype
            self.saved[name] = self.make_scratch(name, shape, dtype, role)
        return self.saved[name]

    def plain(self, buffer: Buffer, name: str) -> tuple[Buffer, list[Launch]]:
        """Return `buffer`'s numbers in public order, and the launches that copy them if needed."""
        if buffer.is_plain:
            return buffer, []
        copy = self.scratch(f"{name}.plain", buffer.shape)
        return copy, [Launch("activation_to_plain", (buffer, copy))]

    def plain_target(self, buffer: Buffer, name: str) -> tuple[Buffer, list[Launch]]:
        """Return memory in public order to write into, and the launches that fill `buffer`."""
        if buffer.is_plain:
            return buffer, []
        copy = self.scratch(f"{name}.plain", buffer.shape)
        return copy, [Launch("activation_from_plain", (copy, buffer))]


class View:
    """The numbers around one op at a moment of a run, in public order, read when first asked for.

    Parameters
    ----------
    layer : str
        Name of the node.
    input_names : tuple of str
        Full tensor names, ``"pool1.output"``.
    read : callable
        ``read(name) -> array``; names as `tensor_name` makes them.
    training : bool
    rates : tuple of float
        What the optimiser's kernels were given in this step; the learning rate comes first.
    convolution : str
        How convolutions ran.
    lasting : dict
        Full names of parameters and running statistics by their short ones; a layer that is used
        more than once has them from its first use.
    """

    def __init__(
        self,
        layer: str,
        input_names: tuple[str, ...],
        read: Callable[[str], Array],
        training: bool,
        rates: tuple[float, ...] = (),
        convolution: str = "direct",
        lasting: Mapping[str, str] | None = None,
    ) -> None:
        self.layer, self.input_names, self.training, self.rates = (
            layer,
            input_names,
            training,
            rates,
        )
        self.convolution = convolution
        self._lasting = lasting or {}
        self._read = read
        self._cache: dict[str, Array] = {}

    def array(self, name: str) -> Array:
        """Return a tensor of this op by its short name.

        Names are ``output``, ``input``, ``input2``, ``grad_output``, ``input.gradient``,
        ``weight``, ``weight.gradient``, ``saved.NAME``, ``running_mean`` and so on.
        """
        if name not in self._cache:
            self._cache[name] = self._read(name)
        return self._cache[name]

    def input(self, number: int = 0) -> Array:
        """Return the array of one input."""
        return self.array("input" if number == 0 else f"input{number + 1}")

    @property
    def output(self) -> Array:
        """The op's result."""
        return self.array("output")

    @property
    def grad_output(self) -> Array:
        """The gradient of the loss by the op's result."""
        return self.array("grad_output")

    def tensor_name(self, name: str) -> str:
        """Return the full name, ``"conv2.weight.gradient"``; an input has its producer's."""
        if name.startswith("input") and not name.endswith(".gradient"):
            return self.input_names[int(name[5:] or 1) - 1]
        return self._lasting.get(name, f"{self.layer}.{name}")

    def has(self, name: str) -> bool:
        """Return whether this op has such a tensor."""
        try:
            self.array(name)
        except UnknownName:
            return False
        return True


class Op(ABC):
    """One kind of computation. Subclasses register themselves under `name`."""

    name: ClassVar[str]
    kernels: ClassVar[tuple[str, ...]]
    """Every kernel its launches may use; each exists for both devices."""

    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    """Least and greatest number of inputs (None: any)."""

    passes_on: ClassVar[bool] = False
    """Whether a prediction's output holds the input's numbers in the same public order."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    @abstractmethod
    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the result without batch axis.

        Raises
        ------
        ShapeError
            If the inputs do not fit; the text says what would.
        """

    @abstractmethod
    def forward(self, at: Site) -> list[Launch]:
        """Return the launches that fill `at.output`."""

    @abstractmethod
    def backward(self, at: Site) -> list[Launch]:
        """Return the launches that overwrite `at.grad_inputs` and `at.gradients`."""

    @abstractmethod
    def explain(self, view: View, result: str, index: Index) -> Explanation:
        """Explain one element of ``"output"``, ``"input.gradient"``, ``"weight.gradient"`` ..."""

    def reach(self, *inputs: Shape) -> Reach | None:
        """Return how output pixels look at input pixels; None if they have no window."""
        return None

    @property
    def mixes_positions(self) -> bool:
        """Whether an output pixel without a window depends on more than its own place."""
        return False

    def multiply_adds(self, output: Shape, *inputs: Shape) -> int:
        """Return the multiply-adds per sample of convolutions and matrix products, else 0."""
        return 0

    @property
    def changes_state(self) -> bool:
        """Whether a training forward pass moves running statistics."""
        return False


REGISTRY: dict[str, type[Op]] = {}
"""Every kind of op by name."""


def phase_of(result: str) -> Phase:
    """Return the phase that computes a result."""
    return (
        "forward" if result == "output" else "backward" if result.endswith("gradient") else "update"
    )


def flat_planes(shape: Shape) -> tuple[int, int, int]:
    """Return (samples, channels, plane) of a shape with batch axis."""
    samples = shape[0]
    channels = shape[1] if len(shape) > 1 else 1
    return samples, channels, int(np.prod(shape[2:], dtype=np.int64))
