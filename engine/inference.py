"""Predictions: a model lowered so that nothing but its outputs is kept.

Operations run together where the device has a kernel for it (`engine.fusing.collapsed`), layers
that change nothing run not at all, and tensors share memory as soon as nobody needs them any more.
Every output has the bits that a `Program` without training computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.device import Buffer, Launch, Life, Role
from engine.fusing import collapsed
from engine.ops.base import Site
from engine.typing import Array, Shape

if TYPE_CHECKING:
    from engine.model import Model, ModelNode


class Inference:
    """A model ready to predict batches of one size.

    What depends on parameters alone (transformed weights, deviations) is made again only after one
    of them has changed; everything else reads them anew by every call.

    Parameters
    ----------
    model : Model
    batch : int

    Attributes
    ----------
    memory_bytes : int
        What its tensors take up, parameters apart.
    """

    def __init__(self, model: Model, batch: int) -> None:
        self._model, self._batch, backend = model, batch, model.backend
        self._arena = backend.arena()
        self._counters = self._arena.request("counters", (2,), "int64")
        self._shared: set[Buffer] = set()
        """Buffers that may share memory with others."""
        self._tensors: dict[str, Buffer] = {}
        for name in model.inputs:
            self._tensors[name] = self._tensor(model.node(name))
        parameters = [parameter.attached() for parameter in model.parameters.values()]
        self._lasting = {*parameters, *model.state.buffers.values()}
        launches: list[Launch] = []
        for node in model.nodes:
            if node.layer is not None:
                launches += self._lower(node)
        outputs = [self._tensors[name] for name in model.outputs]
        if backend.fuses:
            launches = collapsed(launches, outputs, self._arena)
        constant = [launch for launch in launches if self._is_constant(launch)]
        launches = [*constant, *(launch for launch in launches if launch not in constant)]
        self._constant, self._seen = len(constant), -1
        self._shared.difference_update(launch.buffers[-1].root for launch in constant)
        self._sources = list({b: None for launch in constant for b in launch.buffers[:-1]})
        self.memory_bytes = self._arena.commit(self._lives(launches, outputs))
        self._executable = backend.prepare(launches, model.dtype)
        self._count = len(launches)
        self._loaders = [backend.loader(self._tensors[name]) for name in model.inputs]
        self._outputs = [(buffer, backend.view(buffer)) for buffer in outputs]

    def _tensor(self, node: ModelNode) -> Buffer:
        return self._request(node.name, (self._batch, *node.output_shape), self._model.dtype)

    def _request(self, name: str, shape: Shape, dtype: str, role: Role = "activation") -> Buffer:
        buffer = self._arena.request(name, shape, dtype, role)
        self._shared.add(buffer)
        return buffer

    def _lower(self, node: ModelNode) -> list[Launch]:
        """Return the launches of a node; none if its output is its input."""
        layer, tensors = node.layer, self._tensors
        if layer is None:
            return []
        first = tensors[node.inputs[0]]
        shape = (self._batch, *node.output_shape)
        if layer.op.passes_on and (shape == first.shape or first.is_plain):
            tensors[node.name] = first if shape == first.shape else first.reshaped(shape)
            return []
        tensors[node.name] = self._tensor(node)

        def scratch(name: str, shape: Shape, dtype: str, role: Role) -> Buffer:
            return self._request(f"{node.name}.{name}", shape, dtype, role)

        site = Site(
            inputs=tuple(tensors[name] for name in node.inputs),
            output=tensors[node.name],
            parameters={name: p.attached() for name, p in layer.parameters.items()},
            state=layer.state,
            training=False,
            counters=self._counters,
            stream=layer.stream(node.name),
            make_scratch=scratch,
            update_statistics=False,
            convolution=self._model.convolution,
        )
        return layer.op.forward(site)

    def _is_constant(self, launch: Launch) -> bool:
        """Return whether a launch reads parameters and states only, to fill its last buffer."""
        *read, written = (buffer.root for buffer in launch.buffers)
        return bool(read) and self._lasting.issuperset(read) and written not in self._lasting

    def _lives(self, launches: Sequence[Launch], outputs: Sequence[Buffer]) -> dict[Buffer, Life]:
        """Return from which launch to which each tensor is needed."""
        end = len(launches)
        uses: dict[Buffer, list[int]] = {buffer: [] for buffer in self._shared}
        for name in self._model.inputs:
            uses[self._tensors[name].root].append(-1)
        for number, launch in enumerate(launches):
            for buffer in launch.buffers:
                if buffer.root in uses:
                    uses[buffer.root].append(number)
        for buffer in outputs:
            uses[buffer.root].append(end)
        return {b: (min(at), max(at)) if at else (0, -1) for b, at in uses.items()}

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the outputs for arrays that `Model.check_inputs` has accepted."""
        for load, array in zip(self._loaders, inputs, strict=True):
            load(array)
        version = sum(buffer.version for buffer in self._sources)
        self._executable.run(0 if version != self._seen else self._constant, self._count)
        self._seen = version
        return [
            buffer.read() if view is None else np.array(view, order="C")
            for buffer, view in self._outputs
        ]


__all__ = ["Inference"]
