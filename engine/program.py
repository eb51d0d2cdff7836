"""Program: a model, its loss and its optimiser as one flat table of operations over planned memory.

Lowering walks the graph once forward, once for the loss, once backward and once for the update, and
asks every op for its launches. The result never changes: a training step runs all rows, the
debugger a few at a time. A run of all rows may be planned better (`engine.fusing`), with the same
bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.device import Buffer, Executable, Launch, Progress, Role
from engine.errors import ConfigurationError, UnknownName
from engine.fusing import Plan, whole_run
from engine.layers.base import Parameter
from engine.losses import Loss, LossSite
from engine.ops.base import Scratch, Site
from engine.optimizers import RATES, Optimizer
from engine.typing import Array, Phase, Shape

if TYPE_CHECKING:
    from engine.model import Model, ModelNode

Moments = dict[str, tuple[Buffer, ...]]
"""The optimiser's tensors by parameter name."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the program as people see it: one layer in one phase.

    Parameters
    ----------
    index : int
        Place in `Program.operations`.
    phase : Phase
    layer : str
        Node name; ``"loss"`` for the loss, the first input's name for the load.
    kind : str
        Name of the op: ``"conv2d"``, ``"load"``, ``"sgd"``.
    results : tuple of str
        What it computes: ``"output"``, ``"weight.gradient"``, ``"weight"`` ...
    start, stop : int
        Its launches.
    changes_state : bool
        Whether it changes what outlives the batch: parameters, moments, running statistics.
    """

    index: int
    phase: Phase
    layer: str
    kind: str
    results: tuple[str, ...]
    start: int
    stop: int
    changes_state: bool


class Program:
    """A model lowered for one batch size.

    Parameters
    ----------
    model : Model
    batch : int
    training : bool
        Whether batch statistics and dropout are in force.
    update_statistics : bool
        Whether running statistics may move.
    backward : bool
        Add a backward pass from gradients that the caller writes to `output_gradients`; gradients
        go to memory of the program's own.
    loss, optimizer, moments
        Add loss, backward and update phases; gradients go to the parameters.
    progress : callable or None
        Told about every kernel that is compiled or loaded.
    """

    def __init__(
        self,
        model: Model,
        batch: int,
        *,
        training: bool = False,
        update_statistics: bool = True,
        backward: bool = False,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        moments: Moments | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.batch, self.training = model, batch, training
        self.update_statistics = update_statistics
        self.convolution = model.convolution
        self.loss, self.optimizer, self.moments = loss, optimizer, moments or {}
        self._arena = model.backend.arena()
        self._launches: list[Launch] = []
        self.operations: tuple[Operation, ...] = ()
        self.tensors: dict[str, Buffer] = {}
        self.producers: dict[str, int] = {}
        self.sites: dict[str, Site] = {}
        self.gradients: dict[str, Buffer] = {}
        self.output_gradients: dict[str, Buffer] = {}
        self.loss_site: LossSite | None = None
        self.rates = self._request("rates", (RATES,), model.dtype)
        self.counters = self._request("counters", (2,), "int64")
        self._uses = dict.fromkeys((n.name for n in model.nodes), 0)
        for node in model.nodes:
            for name in node.inputs:
                self._uses[name] += 1
        self._lower_forward()
        if loss is not None:
            self._lower_loss(loss)
        if loss is not None or backward:
            _Backward(self).lower()
        if optimizer is not None:
            self._lower_update(optimizer)
        self.memory_bytes = self._arena.commit()
        self._progress = progress
        self._rates_now: tuple[float, ...] = ()

    # -- lowering ----------------------------------------------------------------------------

    def _request(self, name: str, shape: Shape, dtype: str, role: Role = "plain") -> Buffer:
        return self._arena.request(name, shape, dtype, role)

    def _tensor(self, name: str, shape: Shape, role: Role = "activation") -> Buffer:
        """Plan a tensor that people can look at under its name."""
        self.tensors[name] = self._request(name, shape, self.model.dtype, role)
        return self.tensors[name]

    def _add(
        self,
        phase: Phase,
        layer: str,
        kind: str,
        results: Sequence[str],
        launches: Sequence[Launch],
        changes_state: bool = False,
    ) -> None:
        """Append an operation."""
        start = len(self._launches)
        self._launches.extend(launches)
        index = len(self.operations)
        row = Operation(
            index, phase, layer, kind, tuple(results), start, len(self._launches), changes_state
        )
        self.operations = (*self.operations, row)
        for result in results:
            self.producers[f"{layer}.{result}"] = index

    def _scratch(self, node: str) -> Scratch:
        def make(name: str, shape: Shape, dtype: str, role: Role) -> Buffer:
            return self._request(f"{node}.saved.{name}", shape, dtype, role)

        return make

    def _lower_forward(self) -> None:
        model = self.model
        for name in model.inputs:
            self._tensor(name, (self.batch, *model.node(name).output_shape))
        self._add("load", model.inputs[0], "load", ("output",), ())
        for name in model.inputs:
            self.producers[name] = 0
        for node in model.nodes:
            if node.layer is None:
                continue
            output = self._tensor(node.tensor, (self.batch, *node.output_shape))
            layer = node.layer
            site = Site(
                inputs=tuple(self.tensors[model.node(name).tensor] for name in node.inputs),
                output=output,
                parameters={n: p.attached() for n, p in layer.parameters.items()},
                state=layer.state,
                training=self.training,
                counters=self.counters,
                stream=layer.stream(node.name),
                make_scratch=self._scratch(node.name),
                update_statistics=self.update_statistics,
                convolution=self.convolution,
            )
            self.sites[node.name] = site
            for name, parameter in layer.parameters.items():
                self.tensors[f"{node.name}.{name}"] = parameter.attached()
            for name, state in layer.state.items():
                self.tensors[f"{node.name}.{name}"] = state
            moves = self.training and self.update_statistics and layer.op.changes_state
            self._add(
                "forward", node.name, layer.op.name, ("output",), layer.op.forward(site), moves
            )

    def _lower_loss(self, loss: Loss) -> None:
        if len(self.model.outputs) != 1:
            raise ConfigurationError(
                f"loss: expected a model with one output, received {len(self.model.outputs)} "
                f"({', '.join(self.model.outputs)}); "
                "train a Model with outputs= the one that has a target"
            )
        if loss.reduction == "none":
            raise ConfigurationError(
                'loss reduction: training needs "mean" or "sum", received "none"'
            )
        output = self.model.node(self.model.outputs[0])
        prediction = self.tensors[output.tensor]
        # Encoding a target of zeros tells the shapes of the fields.
        sample = np.zeros(loss.items_shape(prediction.shape), np.int64)
        fields = {
            name: self._tensor(f"loss.{name}", array.shape, "plain")
            for name, array in loss.encode(sample, prediction.shape).items()
        }
        site = Site(
            (prediction,),
            prediction,
            {},
            {},
            self.training,
            self.counters,
            0,
            self._scratch("loss"),
        )
        items = self._tensor("loss.items", loss.items_shape(prediction.shape), "plain")
        value = self._tensor("loss.output", (1,), "plain")
        self.loss_site = LossSite(prediction, fields, items, value, site)
        launches = loss.forward(self.loss_site)
        for parameter in self.model.parameters.values():
            if parameter.regularizer is not None:
                launches.append(parameter.regularizer.penalty(parameter.attached(), value))
        self._add("loss", "loss", type(loss).__name__, ("output",), launches)
        self.producers["loss.items"] = self.producers["loss.output"]

    def _lower_update(self, optimizer: Optimizer) -> None:
        done: set[int] = set()
        for node in self.model.nodes:
            if node.layer is None or id(node.layer) in done:
                continue
            done.add(id(node.layer))
            launches, names = [], []
            for name, parameter in node.layer.parameters.items():
                if parameter.name in self.gradients:
                    weight, moments = parameter.attached(), self.moments[parameter.name]
                    launches.append(
                        optimizer.update(
                            weight, self.gradients[parameter.name], moments, self.rates
                        )
                    )
                    names.append(name)
            if names:
                self._add("update", node.name, type(optimizer).__name__, names, launches, True)

    # -- running -----------------------------------------------------------------------------

    @functools.cached_property
    def _rows(self) -> Executable:
        """The launches as they are, for stepping."""
        return self.model.backend.prepare(self._launches, self.model.dtype, self._progress)

    @functools.cached_property
    def _plan(self) -> Plan:
        """What a run of everything launches; see `engine.fusing`."""
        changing = [(o.start, o.stop) for o in self.operations if o.changes_state]
        return whole_run(self._launches, changing, self.model.backend)

    @functools.cached_property
    def _whole(self) -> Executable:
        """The launches of a run of everything."""
        if not self.model.backend.fuses:
            return self._rows
        return self.model.backend.prepare(self._plan.launches, self.model.dtype, self._progress)

    @functools.cached_property
    def _loaders(self) -> dict[str, Callable[[Array], None]]:
        """What writes inputs, the fields of the loss, rates and counters."""
        names = [*self.model.inputs, *(n for n in self.tensors if n.startswith("loss."))]
        buffers = {name: self.tensors[name] for name in names}
        buffers |= {"rates": self.rates, "counters": self.counters}
        return {name: self.model.backend.loader(buffer) for name, buffer in buffers.items()}

    def prepare(self, stepping: bool = False) -> None:
        """Compile now what a run of everything needs, or what stepping needs."""
        _ = self._rows if stepping else self._whole

    def load(
        self,
        inputs: Sequence[Array],
        target: Array | None = None,
        rates: Sequence[float] = (),
        step: int = 0,
    ) -> None:
        """Write a batch, its target and the numbers that change every step.

        Raises
        ------
        ShapeError, DataError
            If the target does not fit the loss.
        """
        fields = {}
        if self.loss is not None and self.loss_site is not None and target is not None:
            fields = self.loss.encode(np.asarray(target), self.loss_site.prediction.shape)
        for name, array in zip(self.model.inputs, inputs, strict=True):
            self._loaders[name](array)
        for name, array in fields.items():
            self._loaders[f"loss.{name}"](array)
        numbers = (*rates, *[0.0] * (RATES - len(rates)))
        if numbers != self._rates_now:
            self._loaders["rates"](np.array(numbers))
            self._rates_now = numbers
        self._loaders["counters"](np.array((self.model.seed % 2**31, step)))

    def run(self, start: int = 0, stop: int | None = None) -> None:
        """Run operations ``start..stop``, all by default. Loading is the caller's: see `load`.

        A run of all operations may do several of them at once; every tensor gets the same bits.
        """
        stop = len(self.operations) if stop is None else stop
        if start == 0 and stop == len(self.operations):
            while not self.run_unless(lambda: False):
                pass  # an `interrupt` that was meant for someone else; nothing has happened yet
        elif start < stop:
            self._rows.run(self.operations[start].start, self.operations[stop - 1].stop)
            self._changed()

    def run_unless(self, stopped: Callable[[], bool]) -> bool:
        """Run all operations, unless `interrupt` ends that before anything lasting has changed.

        Parameters
        ----------
        stopped : callable
            Asked once, after which an `interrupt` counts.

        Returns
        -------
        bool
            Whether the run came to its end. If not, parameters, moments and running statistics
            are what they were.
        """
        self._whole.interrupt(0)
        if stopped() or not self._whole.run(0, len(self._plan.launches)):
            return False
        self._changed()
        return True

    def _changed(self) -> None:
        """Let it be known that parameters and running statistics are new."""
        for buffer in self._lasting:
            buffer.version += 1

    @functools.cached_property
    def _lasting(self) -> list[Buffer]:
        """What outlives a batch and is changed by this program."""
        if not any(operation.changes_state for operation in self.operations):
            return []
        buffers = [parameter.attached() for parameter in self.model.parameters.values()]
        return [*buffers, *self.model.state.buffers.values()]

    def interrupt(self) -> None:
        """End a run of all operations under way, from any thread, unless it changes state already.

        A device that cannot be interrupted runs to the end.
        """
        self._whole.interrupt(self._plan.harmless)

    @property
    def progress(self) -> float:
        """How much of a run of all operations is done, 0 to 1; any thread may ask."""
        return self._whole.done / max(len(self._plan.launches), 1)

    def loss_value(self) -> float:
        """Return the loss of the batch that has run."""
        value = self._loss_view
        return float(self.read("loss.output")[0] if value is None else value[0])

    @functools.cached_property
    def _loss_view(self) -> Array | None:
        return self.model.backend.view(self.tensors["loss.output"])

    def buffer(self, name: str) -> Buffer:
        """Return the memory of a tensor by its full name, ``"conv1.weight.gradient"``.

        Raises
        ------
        UnknownName
            If this program has no such tensor.
        """
        found = self.tensors.get(name) or self.gradients.get(name.removesuffix(".gradient"))
        if found is None:
            node, _, saved = name.partition(".saved.")
            site = self.sites.get(node)
            if not saved or site is None or saved not in site.saved:
                raise UnknownName("tensor", name, self.tensor_names())
            return site.saved[saved]
        return found

    def repeats_from(self, start: int, stop: int) -> int:
        """Return the operation to begin with so that ``start..stop`` may run a second time.

        An operation that adds to a gradient would add twice; that sum begins where its memory is
        first used. All others overwrite what they compute.
        """
        totals = {
            id(launch.buffers[-1].root)
            for operation in self.operations[start:stop]
            for launch in self._launches[operation.start : operation.stop]
            if launch.kernel == "accumulate"
        }
        if not totals:
            return start
        for operation in self.operations[:start]:
            launches = self._launches[operation.start : operation.stop]
            if any(id(buffer.root) in totals for launch in launches for buffer in launch.buffers):
                return operation.index
        return start

    def tensor_names(self) -> list[str]:
        """Return the names that `read` knows, without the ops' own scratch memory."""
        return [*self.tensors, *(f"{name}.gradient" for name in self.gradients)]

    def read(self, name: str) -> Array:
        """Return a tensor as a fresh array in public order."""
        return self.buffer(name).read()


class _Backward:
    """Lowers the backward pass: who needs which gradient, and how several readers' parts add up."""

    def __init__(self, program: Program) -> None:
        self.program, self.model = program, program.model
        self.explicit = program.loss is None
        self.needed = self._needed()
        self.pending: dict[str, int] = {}
        """Gradient parts each node still waits for."""
        self.filled: set[str] = set()

    def _needed(self) -> set[str]:
        """Return the nodes whose output gradient somebody needs."""
        needed: set[str] = set()
        for node in self.model.nodes:
            if node.layer is None:
                # A script asks for input gradients; a training step has no use for them.
                own = self.explicit
            else:
                own = any(p.trainable or self.explicit for p in node.layer.parameters.values())
            if own or any(name in needed for name in node.inputs):
                needed.add(node.name)
        return needed

    def lower(self) -> None:
        """Append the backward operations."""
        program, model = self.program, self.model
        outputs = set(model.outputs)
        parts = {name: program._uses[name] + (name in outputs) for name in self.needed}
        self.parts = parts
        for name in self.needed:
            shape = (program.batch, *model.node(name).output_shape)
            program._tensor(f"{name}.grad_output", shape)
        self._from_outputs()
        for node in reversed(model.nodes):
            if node.layer is not None and node.name in self.needed:
                self._node(node)

    def _target(self, reader: str, slot: str, producer: str) -> tuple[Buffer | None, list[Launch]]:
        """Return where a reader writes its part of a gradient, and how the part is added."""
        program = self.program
        if producer not in self.needed:
            return None, []
        total = program.tensors[f"{producer}.grad_output"]
        if self.parts[producer] == 1:
            program.tensors[f"{reader}.{slot}"] = total
            return total, []
        part = program._tensor(f"{reader}.{slot}", total.shape)
        kernel = "accumulate" if producer in self.filled else "copy"
        self.filled.add(producer)
        return part, [Launch(kernel, (part, total))]

    def _from_outputs(self) -> None:
        """Start from the loss, or from gradients that the caller writes."""
        program = self.program
        if program.loss is not None and program.loss_site is not None:
            name = self.model.outputs[0]
            target, after = self._target("loss", "input.gradient", name)
            program.loss_site.grad = target
            launches = [*program.loss.backward(program.loss_site), *after]
            program._add(
                "backward", "loss", type(program.loss).__name__, ("input.gradient",), launches
            )
            return
        for name in self.model.outputs:
            if name not in self.needed:
                program.output_gradients[name] = program._request(
                    f"{name}.given",
                    (program.batch, *self.model.node(name).output_shape),
                    self.model.dtype,
                    "activation",
                )
                continue
            target, after = self._target(name, "given.gradient", name)
            if target is not None:
                program.output_gradients[name] = target
            if after:
                program._add("backward", name, "copy", (), after)

    def _node(self, node: ModelNode) -> None:
        program, layer = self.program, node.layer
        if layer is None:
            return
        site = program.sites[node.name]
        site.grad_output = program.tensors[f"{node.name}.grad_output"]
        results, after, targets = [], [], []
        for number, name in enumerate(node.inputs):
            slot = "input.gradient" if number == 0 else f"input{number + 1}.gradient"
            target, adding = self._target(node.name, slot, name)
            targets.append(target)
            after += adding
            if target is not None:
                results.append(slot)
        site.grad_inputs = tuple(targets)
        names = []
        for name, parameter in layer.parameters.items():
            if parameter.trainable or self.explicit:
                site.gradients[name], adding = self._parameter(node.name, name, parameter)
                after += adding
                names.append(f"{name}.gradient")
        launches = [*layer.op.backward(site), *after]
        if names or results:
            program._add("backward", node.name, layer.op.name, [*names, *results], launches)

    def _parameter(self, node: str, name: str, parameter: Parameter) -> tuple[Buffer, list[Launch]]:
        """Return where an op writes a parameter's gradient, and what is done to it afterwards."""
        program, adding = self.program, []
        shared = parameter.name in program.gradients
        if shared:
            total = program.gradients[parameter.name]
            part = program._tensor(f"{node}.{name}.gradient", parameter.shape, parameter.role)
            adding.append(Launch("accumulate", (part, total)))
        elif self.explicit or parameter.gradient_buffer is None:
            total = program._request(
                f"{parameter.name}.gradient", parameter.shape, self.model.dtype, parameter.role
            )
            part = total
        else:
            total = part = parameter.gradient_buffer
        program.gradients[parameter.name] = total
        if not shared and f"{node}.{name}" != parameter.name:
            program.tensors[f"{node}.{name}.gradient"] = part
        if parameter.regularizer is not None and not shared and not self.explicit:
            adding.append(parameter.regularizer.gradient(parameter.attached(), total))
        return part, adding


__all__ = ["Moments", "Operation", "Program"]
