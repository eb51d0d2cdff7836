"""Model: a graph of named layers with their parameters on one device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import arguments, config
from engine import summary as summary_text
from engine.arguments import Named
from engine.device import Backend, Buffer, backend_for
from engine.errors import ConfigurationError, DataError, ShapeError, UnknownName, shown
from engine.guard import Guard, Guards
from engine.layers.base import Layer, Parameter
from engine.layers.graph import Input, Node, apply
from engine.ops.winograd import check_convolution
from engine.random import check_seed, generator
from engine.receptive_field import Field, Span, field_of
from engine.shapes import sizes, with_batch
from engine.typing import Array, Shape

if TYPE_CHECKING:
    from engine.inference import Inference
    from engine.program import Program

RESERVED = ("loss",)
PREDICT_BATCH = 256
"""Samples that one inference program takes at once; longer inputs go through in pieces."""
PROGRAMS_KEPT = 8


@dataclass(frozen=True)
class ModelNode:
    """One place in the graph: a layer under a name, or an input (layer None)."""

    name: str
    layer: Layer | None
    inputs: tuple[str, ...]
    output_shape: Shape

    @property
    def tensor(self) -> str:
        """Name of the node's output: ``"conv1.output"``, or ``"input"``."""
        return self.name if self.layer is None else f"{self.name}.output"


@dataclass(frozen=True)
class Gradients:
    """What `Model.gradients` returns.

    Parameters
    ----------
    inputs : tuple of arrays
        One per model input, with its shape.
    parameters : dict of arrays
        ``{"conv1.weight": array, ...}``.
    """

    inputs: tuple[Array, ...]
    parameters: dict[str, Array]


class State(MutableMapping[str, Array]):
    """Running statistics by name; reading gives copies, assigning writes."""

    def __init__(self, buffers: dict[str, Buffer]) -> None:
        self.buffers = Named("state", buffers)
        self.guard: Guard | Guards = Guard()

    def __getitem__(self, name: str) -> Array:
        buffer = self.buffers[name]
        with self.guard.using():
            return buffer.read()

    def __setitem__(self, name: str, value: Array) -> None:
        buffer, given = self.buffers[name], arguments.array(f"{name} value", value)
        if given.shape != buffer.shape:
            raise ShapeError(
                f"{name} value: expected values of shape {buffer.shape}, received {given.shape}"
            )
        with self.guard.changing():
            buffer.write(given)

    def __delitem__(self, name: str) -> None:
        raise ConfigurationError(f"{name}: the state of a layer cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self.buffers)

    def __len__(self) -> int:
        return len(self.buffers)


class Model(config.Sealed):
    """A network.

    Every call is safe from any thread, also while the model is trained: it answers with the weights
    of one whole step.

    Parameters
    ----------
    layers : sequence of Layer, optional
        A chain; needs `input_shape`.
    inputs, outputs : Node or sequence of Node, optional
        A graph instead of a chain.
    input_shape : Shape, optional
        Without batch axis.
    seed : int
        Of the initial weights, dropout and everything else random in the model.
    device : {"auto", "cpu", "cuda"}
    dtype : {"float32", "float64"}
    threads : int or None
        CPU threads; None takes as many as the process may use. Results do not depend on it.
    convolution : {"direct", "winograd", "winograd2", "winograd4"}
        How convolutions run: directly; by Winograd's method where that is faster, which rounds
        differently; or by it wherever possible, with tiles of 2 or 4. Can be changed later.

    Raises
    ------
    ShapeError
        If two layers do not fit; the text names both and the number that would fit.
    ConfigurationError
        If names repeat, or arguments contradict each other.
    """

    assignable = ("convolution",)
    advice = (
        "only convolution can be, and numbers through model['layer'].weight.value and model.state"
    )

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        *,
        inputs: Node | Sequence[Node] | None = None,
        outputs: Node | Sequence[Node] | None = None,
        input_shape: Shape | None = None,
        seed: int = 0,
        device: str = "auto",
        dtype: str = "float32",
        threads: int | None = None,
        convolution: str = "direct",
    ) -> None:
        self.seed, self.device, self._threads = check_seed(seed), device, threads
        self._convolution = check_convolution(convolution)
        self.dtype = _checked_dtype(dtype)
        if layers is not None:
            if inputs is not None or outputs is not None:
                raise ConfigurationError(
                    "Model: give either a list of layers or inputs and outputs, not both"
                )
            inputs, outputs = _chain(layers, input_shape)
        if inputs is None or outputs is None:
            raise ConfigurationError(
                "Model: expected a list of layers with input_shape=, or inputs= and outputs="
            )
        self._inputs = _checked_nodes("inputs", inputs)
        self._outputs = _checked_nodes("outputs", outputs)
        order = _sorted(self._inputs, self._outputs)
        names = _named(order, self._inputs)
        self.nodes = tuple(
            ModelNode(names[n], n.layer, tuple(names[i] for i in n.inputs), n.output_shape)
            for n in order
        )
        self._by_name = Named("layer", {node.name: node for node in self.nodes})
        self.inputs = tuple(names[node] for node in self._inputs)
        self.outputs = tuple(names[node] for node in self._outputs)
        self.backend: Backend = backend_for(device, threads)
        self.parameters: dict[str, Parameter] = Named("parameter")
        self.state = State({})
        self.guard = self._own_guard()
        self._attach()
        self._programs: OrderedDict[Any, Program] = OrderedDict()
        self._predictors: OrderedDict[Shape, Inference] = OrderedDict()
        self._real = np.dtype(self.dtype)
        self._seen, self._lowered = config.latest_change(), self.settings()
        self.seal()

    # -- construction ------------------------------------------------------------------------

    def _own_guard(self) -> Guard | Guards:
        """Return the guard of the layers; layers of other models bring theirs along."""
        layers = [node.layer for node in self.nodes if node.layer is not None]
        parameters = [p for layer in layers for p in layer.parameters.values()]
        guards = {parameter.guard for parameter in parameters if parameter.buffer is not None}
        parts = [part for guard in guards for part in guard.parts]
        return Guards(parts) if len(parts) > 1 else parts[0] if parts else Guard()

    def _attach(self) -> None:
        """Give every parameter and state its memory and its first value."""
        values, gradients, states = (self.backend.arena() for _ in range(3))
        fresh: list[Parameter] = []
        fresh_state: list[tuple[Buffer, Array]] = []
        seen: set[int] = set()
        for node in self.nodes:
            layer = node.layer
            if layer is None or id(layer) in seen:
                continue
            seen.add(id(layer))
            for name, parameter in layer.parameters.items():
                is_new = parameter.buffer is None
                guard = self.guard.parts[0] if is_new else parameter.guard
                parameter.belongs_to(f"{node.name}.{name}", guard)
                self.parameters[parameter.name] = parameter
                if parameter.buffer is None:
                    parameter.allocate(values, gradients, self.dtype)
                    fresh.append(parameter)
                elif parameter.buffer.dtype != self.dtype:
                    raise ConfigurationError(
                        f"{node.name}: this layer already belongs to a {parameter.buffer.dtype} "
                        f"model; use dtype={parameter.buffer.dtype!r} or a layer of its own"
                    )
            for name, first in layer.initial_state.items():
                full = f"{node.name}.{name}"
                if name not in layer.state:
                    layer.state[name] = states.request(full, first.shape, self.dtype)
                    fresh_state.append((layer.state[name], first))
                self.state.buffers[full] = layer.state[name]
        self.state.guard = self.guard
        for arena in (values, gradients, states):
            arena.commit()
        for parameter in fresh:
            draws = generator(self.seed, "init", parameter.name)
            first = np.asarray(parameter.initializer(parameter.shape, draws))
            if first.shape != parameter.shape:
                raise ShapeError(
                    f"{parameter.name}: expected its initializer to give shape "
                    f"{parameter.shape}, received {first.shape}"
                )
            parameter.attached().write(first)
        for buffer, first in fresh_state:
            buffer.write(first)

    # -- looking around ----------------------------------------------------------------------

    @property
    def convolution(self) -> str:
        """How convolutions run: ``"direct"`` or ``"winograd"``; run files keep it.

        Raises
        ------
        ConfigurationError
            If it is set to something else.
        """
        return self._convolution

    @convolution.setter
    def convolution(self, value: str) -> None:
        if check_convolution(value) != self._convolution:
            self._convolution = value
            config.note_change()

    def settings(self) -> tuple[Any, ...]:
        """Return everything that is lowered into programs and may change, for comparing."""
        ops = tuple(node.layer.op for node in self.nodes if node.layer is not None)
        penalties = tuple(
            (p.trainable, None if p.regularizer is None else repr(p.regularizer))
            for p in self.parameters.values()
        )
        return self._convolution, ops, penalties

    def _renew(self) -> None:
        """Forget programs that were lowered with other settings."""
        now = config.latest_change()
        if now == self._seen:
            return
        settings = self.settings()
        if settings != self._lowered:
            self._programs.clear()
            self._predictors.clear()
        self._seen, self._lowered = now, settings

    def node(self, name: str) -> ModelNode:
        """Return a node by name.

        Raises
        ------
        UnknownName
            If there is none; the text lists those that exist.
        """
        return self._by_name[name]

    def __getitem__(self, name: str) -> Layer:
        layer = self.node(name).layer
        if layer is None:
            raise UnknownName("layer", name, [n.name for n in self.nodes if n.layer])
        return layer

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input without batch axis."""
        return self.node(self.inputs[0]).output_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of the first output without batch axis."""
        return self.node(self.outputs[0]).output_shape

    def receptive_fields(self) -> dict[str, Field]:
        """Return for every node how its pixels look at the input; see `engine.receptive_field`."""
        fields: dict[str, Field] = {}
        for node in self.nodes:
            if node.layer is None:
                fields[node.name] = (
                    (Span(1, 0, 0), Span(1, 0, 0)) if len(node.output_shape) == 3 else None
                )
                continue
            before = [self._by_name[name] for name in node.inputs]
            fields[node.name] = field_of(
                node.layer,
                [fields[b.name] for b in before],
                [b.output_shape for b in before],
                node.output_shape,
            )
        return fields

    def summary(self) -> str:
        """Return a table: name, output shape, parameters, multiply-adds, receptive field."""
        return summary_text.table(self)

    def __repr__(self) -> str:
        count = sum(parameter.size for parameter in self.parameters.values())
        shapes = ", ".join(f"{name} {self.node(name).output_shape}" for name in self.inputs)
        outputs = ", ".join(f"{name} {self.node(name).output_shape}" for name in self.outputs)
        layers = len(self.nodes) - len(self.inputs)
        return (
            f"Model({shapes} -> {outputs}, {layers} layers, {count:,} parameters, {self.dtype}, "
            f"{self.backend.name})"
        )

    # -- copies ------------------------------------------------------------------------------

    def clone(self) -> Model:
        """Return a model of its own with the same layers, numbers and settings.

        Training the copy leaves this model as it is. A layer that appears several times in the
        graph does so in the copy, too.
        """
        with self.guard.using():
            layers: dict[int, Layer] = {}
            nodes: dict[str, Node] = {}
            for node in self.nodes:
                if node.layer is None:
                    nodes[node.name] = Input(node.output_shape, name=node.name)
                    continue
                if id(node.layer) not in layers:
                    layers[id(node.layer)] = node.layer.twin(node.name)
                inputs = tuple(nodes[name] for name in node.inputs)
                nodes[node.name] = layers[id(node.layer)](*inputs)
            copy = Model(
                inputs=[nodes[name] for name in self.inputs],
                outputs=[nodes[name] for name in self.outputs],
                seed=self.seed,
                device=self.device,
                dtype=self.dtype,
                threads=self._threads,
                convolution=self.convolution,
            )
            for node, copied in zip(self.nodes, copy.nodes, strict=True):
                if node.layer is not None and copied.layer is not None:
                    copied.layer.keep_stream(copied.name, node.layer.stream(node.name))
            for name, parameter in self.parameters.items():
                copy.parameters[name].attached().write(parameter.attached().read())
            for name, buffer in self.state.buffers.items():
                copy.state.buffers[name].write(buffer.read())
        return copy

    def __copy__(self) -> Model:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        memo[id(self)] = copy = self.clone()
        return copy

    # -- running -----------------------------------------------------------------------------

    def arrange(self, x: Any) -> tuple[Any, ...]:
        """Return one array per input from an array, a tuple in the order of inputs, or a dict.

        Raises
        ------
        UnknownName, ShapeError
            If a dict names other inputs than the model has.
        """
        if isinstance(x, Mapping):
            unknown = [name for name in x if name not in self.inputs]
            if unknown:
                raise UnknownName("input", str(unknown[0]), self.inputs)
            missing = [name for name in self.inputs if name not in x]
            if missing:
                raise ShapeError(f"model: expected inputs {self.inputs}, {missing[0]} is missing")
            return tuple(x[name] for name in self.inputs)
        arrays = x if isinstance(x, tuple) else (x,)
        if len(arrays) != len(self.inputs):
            raise ShapeError(
                f"model: expected {len(self.inputs)} inputs ({', '.join(self.inputs)}), "
                f"received {len(arrays)}"
            )
        return arrays

    def check_inputs(self, arrays: Sequence[Any]) -> list[Array]:
        """Return the inputs as arrays of the model's dtype.

        Raises
        ------
        ShapeError, DtypeError, DataError
            If one does not fit; the text names the input.
        """
        if len(arrays) != len(self.inputs):
            raise ShapeError(
                f"model: expected {len(self.inputs)} inputs ({', '.join(self.inputs)}), "
                f"received {len(arrays)}"
            )
        checked: list[Array] = []
        for name, given in zip(self.inputs, arrays, strict=True):
            shape = self._by_name[name].output_shape
            array = arguments.array(name, given, f"numbers of shape {with_batch(shape)}")
            if array.shape[1:] != shape or array.ndim != len(shape) + 1:
                hint = "; add a batch axis with x[None]" if array.shape == shape else ""
                raise ShapeError(
                    f"{name}: expected {with_batch(shape)}, received {array.shape}{hint}"
                )
            if len(array) != len(arrays[0]):
                raise DataError(
                    f"{name}: expected {len(arrays[0])} samples like the first input, "
                    f"received {len(array)}"
                )
            checked.append(np.asarray(array, self.dtype))
        return checked

    def program(self, batch: int, **settings: Any) -> Program:
        """Return the program for a batch size, made on first use; settings are `Program`'s."""
        from engine.program import Program

        self._renew()
        key = (batch, *sorted(settings.items()))
        if key not in self._programs:
            while len(self._programs) >= PROGRAMS_KEPT:
                self._programs.popitem(last=False)
            self._programs[key] = Program(self, batch, **settings)
            self._programs[key].prepare()
        self._programs.move_to_end(key)
        return self._programs[key]

    def predictor(self, batch: int) -> Inference:
        """Return what predicts batches of one size, made on first use."""
        from engine.inference import Inference

        self._renew()
        key = (batch, *self.node(self.inputs[0]).output_shape)
        if key not in self._predictors:
            while len(self._predictors) >= PROGRAMS_KEPT:
                self._predictors.popitem(last=False)
            self._predictors[key] = Inference(self, batch)
        self._predictors.move_to_end(key)
        return self._predictors[key]

    def __call__(self, *inputs: Any) -> Any:
        """Return the prediction for a batch: an array, or a tuple for several outputs."""
        if len(inputs) == 1 and type(inputs[0]) is np.ndarray and inputs[0].dtype == self._real:
            # An array like one before needs no looking at: a call costs a few microseconds.
            with self.guard.using():
                self._renew()
                known = self._predictors.get(inputs[0].shape)
                if known is not None and len(self.inputs) == 1:
                    answers = known(inputs)
                    return answers[0] if len(answers) == 1 else tuple(answers)
        arrays = self.check_inputs(self.arrange(inputs[0]) if len(inputs) == 1 else inputs)
        count, pieces = len(arrays[0]), []
        with self.guard.keeping():
            for start in range(0, count, PREDICT_BATCH):
                part = [array[start : start + PREDICT_BATCH] for array in arrays]
                with self.guard.using():
                    pieces.append(self.predictor(len(part[0]))(part))
        if not pieces:
            results = [
                np.zeros((0, *self.node(name).output_shape), self.dtype) for name in self.outputs
            ]
        else:
            results = [
                np.concatenate(parts) if len(parts) > 1 else parts[0]
                for parts in zip(*pieces, strict=True)
            ]
        return results[0] if len(results) == 1 else tuple(results)

    def activations(self, x: Any, names: Sequence[str], training: bool = False) -> dict[str, Array]:
        """Return the outputs of named layers for one batch; running statistics stay as they are.

        Parameters
        ----------
        x : array, or tuple of arrays for several inputs
        names : sequence of str
        training : bool
            Whether batch statistics and dropout are in force.

        Raises
        ------
        UnknownName, ConfigurationError
            If there is no such layer, or an argument is of the wrong kind.
        ShapeError, DtypeError, DataError
            If `x` does not fit the model.
        """
        wanted = (
            (names,)
            if isinstance(names, str)
            else arguments.ordered("activations names", names, "a sequence of names of layers")
        )
        nodes = [self.node(name) for name in wanted]
        training = arguments.flag("activations training", training)
        arrays = self.check_inputs(self.arrange(x))
        if not len(arrays[0]):
            raise DataError("activations: expected at least one sample, received none")
        with self.guard.using():
            program = self.program(len(arrays[0]), training=training, update_statistics=False)
            program.load(arrays)
            program.run()
            return {node.name: program.read(node.tensor) for node in nodes}

    def gradients(self, x: Any, grad_output: Any, training: bool = False) -> Gradients:
        """Return the gradients of ``sum(grad_output * prediction)`` by inputs and parameters.

        Parameters
        ----------
        x : array, or tuple of arrays for several inputs
        grad_output : array, or tuple of arrays for several outputs
            Shape of the prediction.
        training : bool

        Raises
        ------
        ShapeError, DtypeError, DataError
            If `x` or `grad_output` does not fit the model.
        ConfigurationError
            If `training` is neither True nor False.
        """
        training = arguments.flag("gradients training", training)
        arrays = self.check_inputs(self.arrange(x))
        if not len(arrays[0]):
            raise DataError("gradients: expected at least one sample, received none")
        grads = grad_output if isinstance(grad_output, tuple) else (grad_output,)
        if len(grads) != len(self.outputs):
            raise ShapeError(
                f"gradients grad_output: expected {len(self.outputs)} arrays, one for each output, "
                f"received {len(grads)}"
            )
        grads = tuple(arguments.array("gradients grad_output", grad) for grad in grads)
        for name, grad in zip(self.outputs, grads, strict=True):
            shape = (len(arrays[0]), *self.node(name).output_shape)
            if np.shape(grad) != shape:
                raise ShapeError(
                    f"gradients: expected grad_output of shape {shape}, received {np.shape(grad)}"
                )
        with self.guard.using():
            program = self.program(
                len(arrays[0]), training=training, update_statistics=False, backward=True
            )
            program.load(arrays)
            for name, grad in zip(self.outputs, grads, strict=True):
                program.output_gradients[name].write(np.asarray(grad))
            program.run()
            given = tuple(program.read(f"{name}.grad_output") for name in self.inputs)
            numbers = {name: program.gradients[name].read() for name in self.parameters}
        return Gradients(given, Named("parameter", numbers))


def _chain(layers: Sequence[Layer], input_shape: Shape | None) -> tuple[Node, Node]:
    """Return input and output node of a list of layers."""
    layers = arguments.ordered("Model layers", layers, "a list of layers")
    if not layers:
        raise ConfigurationError("Model layers: expected at least one, received an empty list")
    if input_shape is None:
        raise ConfigurationError(
            "Model: a list of layers needs input_shape=, for example (1, 28, 28)"
        )
    for number, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise ConfigurationError(
                f"Model layers: expected layers, received {shown(layer)} at place {number}"
                + (
                    "; call the class: " + layer.__name__ + "(...)"
                    if isinstance(layer, type)
                    else ""
                )
            )
    counts: dict[str, int] = {}
    start = node = Input(sizes("Model input_shape", _as_shape(input_shape)))
    node.name = "input"
    for layer in layers:
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + (layer.name is None)
        node = apply(layer, (node,), layer.name or f"{kind}{counts[kind]}")
    return start, node


def _as_shape(value: Any) -> Any:
    """Return a single size as a shape."""
    return (value,) if arguments.is_whole(value) else value


def _checked_dtype(dtype: Any) -> str:
    """Return the name of a number type, given by name or as NumPy's."""
    if isinstance(dtype, np.dtype):
        dtype = dtype.name
    if isinstance(dtype, type) and issubclass(dtype, (np.float32, np.float64)):
        dtype = dtype.__name__
    return arguments.choice("dtype", dtype, ("float32", "float64"))


def _checked_nodes(what: str, nodes: Any) -> tuple[Node, ...]:
    """Return the nodes that a model begins or ends with."""
    given = (nodes,) if isinstance(nodes, Node) else nodes
    expected = "a node, or a sequence of nodes"
    found = arguments.ordered(f"Model {what}", given, expected)
    if not found:
        raise arguments.refusal(f"Model {what}", "at least one node", nodes)
    for node in found:
        arguments.instance(f"Model {what}", node, Node, "nodes, from Input(...) or a layer")
        if what == "inputs" and node.layer is not None:
            raise ConfigurationError(
                f"Model inputs: expected nodes made by Input(...), received the output of "
                f"{node.label}; begin a model of the second half with an Input of its own"
            )
    if what == "inputs" and len(set(found)) < len(found):
        raise ConfigurationError("Model inputs: expected every node once, received one twice")
    return found


def _sorted(inputs: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """Return all nodes that the outputs need, inputs first, every node after what it reads."""
    order: list[Node] = list(inputs)
    done = {id(node) for node in inputs}
    for output in outputs:
        stack = [(output, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if node.layer is None:
                raise ConfigurationError(
                    f"Model: {node.label} is used by the graph but missing from inputs="
                )
            if ready:
                done.add(id(node))
                order.append(node)
            else:
                stack.append((node, True))
                stack.extend((before, False) for before in reversed(node.inputs))
    return order


def _named(order: Sequence[Node], inputs: Sequence[Node]) -> dict[Node, str]:
    """Return a name for every node: the user's, else type and running number."""
    names: dict[Node, str] = {}
    taken: set[str] = set(RESERVED)
    wished = {node.layer.name for node in order if node.layer and node.layer.name}
    counts: dict[str, int] = {}
    seen: set[int] = set()
    for node in order:
        if node.layer is None:
            number = list(inputs).index(node) + 1
            name = node.name or ("input" if number == 1 else f"input_{number}")
        elif node.layer.name and id(node.layer) not in seen:
            name = node.layer.name
        else:
            base = node.layer.name or type(node.layer).__name__.lower()
            name = ""
            while not name or name in wished or name in taken:
                counts[base] = counts.get(base, 0) + 1
                name = f"{base}_{counts[base] + 1}" if node.layer.name else f"{base}{counts[base]}"
        if name in taken:
            why = "is reserved" if name in RESERVED else "is used twice"
            raise ConfigurationError(
                f"Model: the layer name {name!r} {why}; give every layer a name of its own"
            )
        seen.add(id(node.layer))
        taken.add(name)
        names[node] = name
    return names


__all__ = ["Gradients", "Model", "ModelNode", "State"]
