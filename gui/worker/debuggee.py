"""What is being debugged: a session, and the same pass made ahead of its cursor.

The pass ahead is what fills maps, windows and the prediction before the cursor has come there; it
is computed by the same engine from the same weights, and always marked as ahead.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gui.models.layout import Array
from gui.models.snapshot import Cursor, FieldRule, StackFrame
from gui.worker.pictures import Sample

if TYPE_CHECKING:
    from engine import Model, Scheduler
    from engine.data import DataLoader
    from engine.debug import Session
    from engine.debug.position import Position
    from engine.explanation import Explanation

OUTPUT, LOSS = "output", "loss"
EPOCHS = 1_000_000
"""Of a stepped training: it has no end of its own, so that no key ever leads to a dead one."""
COUNTED = ("output", "items", "scales")
"""Tensors of the loss whose first axis counts no samples to choose from."""


class Debuggee:
    """A session over one picture, or over training batches.

    Parameters
    ----------
    model : Model
    sample : Sample
        The picture; shown as long as the session has no batch of its own.
    scheduler, loader : optional
        Both are needed to step whole training steps.
    """

    def __init__(
        self,
        model: Model,
        sample: Sample,
        scheduler: Scheduler | None = None,
        loader: DataLoader | None = None,
    ) -> None:
        from engine.debug import Session

        self.model, self.sample = model, sample
        self.program = "forward" if loader is None else "training"
        if scheduler is not None and loader is not None:
            self.session = Session(scheduler, loader=loader, epochs=EPOCHS)
        else:
            self.session = Session(model, sample.x)
        self.batches = 0 if loader is None else len(loader)
        # Losses that were there before, and the step at which epoch 0 would have begun.
        self.began = self.offset = 0
        if scheduler is not None:
            self.began = len(scheduler.history.steps)
            self.offset = scheduler.global_step - scheduler.epoch * self.batches - scheduler.batch
        self.nodes = {node.name: node for node in model.nodes}
        self.pinned = False
        self.version = 0
        self._fields: dict[str, FieldRule | None] | None = None
        self._ahead: Session | None = None
        self._ahead_key: Hashable = None

    # --- pictures -------------------------------------------------------------------------------

    @property
    def batch_key(self) -> tuple[int, int, int]:
        """Which forward pass this is: epoch, batch and sample."""
        at = self.session.position
        return (at.epoch, 0 if self.program == "forward" else at.batch, self.session.sample)

    def batch_x(self) -> Array:
        """Return the shown sample as a batch of one."""
        if self.program == "forward" or self.pinned:
            return self.sample.x
        number = self.session.sample
        return np.asarray(self.session.batch_x)[number : number + 1]

    @property
    def label(self) -> int | None:
        """The class of the shown sample, if it is known."""
        y = self.session.batch_y
        if self.pinned or y is None or np.asarray(y).ndim != 1:
            return self.sample.picture.label
        return int(np.asarray(y)[self.session.sample])

    def show(self, sample: Sample) -> None:
        """Put another picture in the place of this one; the cursor stays."""
        self.sample = sample
        if self.program == "forward":
            self.session.replace_images(sample.x)
        self.refresh()

    def pin(self) -> None:
        """Show the picture's pass alone from now on: the weights are about to change."""
        self.pinned = True
        self.version += 1
        self._ahead_key = None

    def refresh(self) -> None:
        """Run the pass ahead again, for other weights or another picture."""
        self.version += 1
        if self._ahead is not None:
            self._ahead.replace_images(self.batch_x())
            self._ahead_key = self._key()

    @property
    def stage(self) -> Hashable:
        """What has been computed: changes with operations, not with steps inside one."""
        at, session = self.session.position, self.session
        inside = at.level != "operation"
        return (self.version, self.batch_key, at.at_operation(), inside, session.at_end)

    def _key(self) -> Hashable:
        return ("pinned",) if self.pinned else self.batch_key

    @property
    def ahead(self) -> Session:
        """The forward pass of this sample, every layer of it computed."""
        from engine.debug import Session

        if self._ahead is None:
            # Inside its last operation everything is computed, and nothing is over yet.
            self._ahead = Session(self.model, self.batch_x())
            last = self._ahead.program.operations[-1]
            start = self._ahead.position
            self._ahead.run_to(replace(start, phase=last.phase, operation=last.index))
            self._ahead.step_into()
            self._ahead_key = self._key()
        elif self._ahead_key != self._key():
            self.refresh()
        return self._ahead

    # --- reading --------------------------------------------------------------------------------

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Let the operation at the cursor be computed for as long as one looks."""
        if self.pinned:
            yield
            return
        with self.session.ahead():
            yield

    @property
    def last_layer(self) -> str:
        """The layer of the operation that ends the pass."""
        return self.session.program.operations[-1].layer

    def passes_differ(self) -> bool:
        """Tell whether the pass ahead, which evaluates, computes otherwise than a training step."""
        ops = [node.layer.op for node in self.model.nodes if node.layer is not None]
        return self.program == "training" and any(
            op.changes_state or op.name.startswith("dropout") for op in ops
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """What can be looked at: the nodes and, where there is one, the loss."""
        return (*self.nodes, LOSS) if self.session.program.loss is not None else (*self.nodes,)

    def name(self, layer: str, tensor: str) -> str:
        """Return the full name of a tensor of a node: ``"conv2.output"``, or ``"input"``."""
        node = self.nodes.get(layer)
        if node is not None and tensor == OUTPUT:
            return node.tensor
        return f"{layer}.{tensor}"

    def batched(self, layer: str, tensor: str) -> bool:
        """Tell whether axis 0 of a tensor counts samples."""
        if layer not in self.nodes:
            return tensor not in COUNTED
        return tensor in (OUTPUT, "grad_output") or tensor.startswith("input")

    def computed_by(self, layer: str, tensor: str) -> str:
        """Return the phase that computes a tensor; an input is loaded."""
        if tensor.endswith("gradient") or tensor == "grad_output":
            return "backward"
        node = self.nodes.get(layer)
        if node is None:
            return "loss" if tensor in ("output", "items") else "load"
        if tensor == OUTPUT:
            return "forward" if node.layer is not None else "load"
        return "update"

    def read(self, layer: str, tensor: str) -> tuple[Array | None, int, bool]:
        """Return (array, row of the shown sample, whether it comes from the pass ahead)."""
        from engine.errors import EngineError

        name, session = self.name(layer, tensor), self.session
        here = tensor == OUTPUT and layer in self.nodes
        array: Array | None = None
        try:
            if self.pinned:
                array = self.ahead.program.read(name)
                return array, 0, False
            if self._computed(layer, tensor):
                array = session.program.read(name)
        except EngineError:
            return None, session.sample, False
        if array is not None:
            return array, session.sample, self._is_next(layer, tensor)
        if here:
            return self.ahead.program.read(name), 0, True
        return None, session.sample, False

    def _computed(self, layer: str, tensor: str) -> bool:
        """Tell whether the session's memory holds a tensor of this batch.

        Inside an operation the engine has run it already, so its result can be read there; how much
        of it the cursor has passed is drawn by the views.
        """
        session = self.session
        return session.at_end or session.is_computed(self.name(layer, tensor), inside=True)

    def _is_next(self, layer: str, tensor: str) -> bool:
        """Tell whether a tensor is what the operation at the cursor will bring."""
        session = self.session
        if session.at_end or session.position.level != "operation":
            return False
        row = session.operation()
        return tensor in row.results and layer == row.layer

    def tensors(self, layer: str) -> tuple[str, ...]:
        """Return the short names of what can be shown of a layer."""
        known = set(self.session.program.tensor_names())
        node = self.nodes.get(layer)
        if node is None:
            names = ["items", "target", "input.gradient"]
        elif node.layer is None:
            return (OUTPUT,)
        else:
            slots = [
                f"input{number if number > 1 else ''}" for number in range(1, 1 + len(node.inputs))
            ]
            names = ["grad_output", *(f"{slot}.gradient" for slot in slots)]
            for name in node.layer.parameters:
                names += [name, f"{name}.gradient"]
        return (OUTPUT, *(name for name in names if f"{layer}.{name}" in known))

    def shape(self, layer: str, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor, with the sample axis where it has one.

        Raises
        ------
        UnknownName
            If this program has no such tensor.
        """
        return tuple(self.session.program.buffer(self.name(layer, tensor)).shape)

    def explain(
        self, layer: str, tensor: str, index: tuple[int, ...]
    ) -> tuple[Explanation | None, bool]:
        """Return how an element came about, and whether the pass ahead had to be asked."""
        from engine.errors import EngineError

        node = self.nodes.get(layer)
        if layer not in self.layers or (node is not None and node.layer is None):
            return None, False
        output = tensor == OUTPUT and node is not None
        if not self.pinned and self._computed(layer, tensor):
            try:
                explanation = self.session.explain(layer=layer, index=index, tensor=tensor)
                return explanation, self._is_next(layer, tensor)
            except EngineError:
                return None, False
        if not output:
            return None, False
        try:
            place = (0, *index[1:])
            explanation = self.ahead.explain(layer=layer, index=place, tensor=tensor)
        except EngineError:
            return None, False
        return explanation, not self.pinned

    def seen_by(self, layer: str, tensor: str) -> str | None:
        """Return the node whose receptive fields hold for a tensor's elements; None for none.

        The gradient of an input has the places of that input, not of the layer's own output.
        """
        node = self.nodes.get(layer)
        if tensor.startswith("input"):
            if node is None:
                return self.model.outputs[0]
            number = int(tensor.removesuffix(".gradient")[5:] or 1) - 1
            return node.inputs[number]
        return layer if node is not None and tensor in (OUTPUT, "grad_output") else None

    def field(self, layer: str) -> FieldRule | None:
        """Return how the layer's pixels look at the picture; None where all of it is seen."""
        if self._fields is None:
            self._fields = {}
            for name, field in self.model.receptive_fields().items():
                if field is None:
                    self._fields[name] = None
                    continue
                rows, columns = field
                self._fields[name] = FieldRule(
                    rows.low,
                    columns.low,
                    rows.high - rows.low + 1,
                    columns.high - columns.low + 1,
                    rows.jump,
                    columns.jump,
                )
        return self._fields.get(layer)

    def whole_picture(self) -> FieldRule | None:
        """Return the rule of a layer that sees everything."""
        shape = self.model.input_shape
        if len(shape) != 3:
            return None
        return FieldRule(0, 0, shape[1], shape[2], 0, 0)

    # --- the cursor -----------------------------------------------------------------------------

    def cursor(self) -> Cursor:
        """Return the next thing to execute."""
        from engine.debug.wording import place_words

        session = self.session
        at, operation = session.position, session.operation()
        tensor = at.tensor or self.main_result(operation, at.level)
        over = session.at_end
        return Cursor(
            layer="" if over else operation.layer,
            phase=at.phase,
            kind=operation.kind,
            level=at.level,
            epoch=at.epoch,
            batch=at.batch,
            operation=at.operation,
            tensor=tensor,
            index=at.index,
            term=at.term,
            finished=over,
            position=at,
            words=place_words(session, batch=False),
        )

    def main_result(self, operation: Any, level: str) -> str:
        """Return which result of an operation is shown.

        A backward operation has several: the gradient that goes on to the layer before, if there is
        one, and those of its weights, which the kernels show beside it. Inside, it is the one that
        the cursor goes through.
        """
        results = operation.results
        if level == "operation" and "input.gradient" in results:
            return "input.gradient"
        return results[0] if results else OUTPUT

    def elapsed_ms(self, layer: str) -> float | None:
        """Return how long the layer's forward operation took when it last ran by itself."""
        return self.session.timings.get(("forward", layer))

    def frames(self) -> tuple[StackFrame, ...]:
        """Return the call stack, outermost frame first."""
        operations = self.session.program.operations
        rows = []
        for frame in self.session.stack():
            at: Position | None = frame.position
            known = at is not None and at.operation < len(operations)
            row = operations[at.operation] if at is not None and known else None
            layer = row.layer if row is not None and row.layer in self.layers else ""
            tensor = self.main_result(row, "operation") if row is not None else ""
            rows.append(
                StackFrame(frame.title, frame.detail, frame.state, frame.depth, at, layer, tensor)
            )
        return tuple(rows)

    def made_by(self, layer: str, tensor: str) -> tuple[Any, str | None]:
        """Return the row that computes a tensor, and under which name it can be stepped into.

        The gradient of an output is made by who reads that output; of several the last one adds.
        """
        if layer not in self.layers:
            return self.operation(layer), None  # raises
        phase = self.computed_by(layer, tensor)
        if phase == "load":  # one operation loads all inputs and the target
            return self.session.program.operations[0], None
        row = self.operation(layer, phase)
        if tensor != "grad_output":
            return row, tensor if tensor in row.results else None
        found = [
            (other, "input.gradient" if number == 0 else f"input{number + 1}.gradient")
            for other in self.session.program.operations
            if other.phase == "backward"
            for number, name in enumerate(self._reads(other.layer))
            if name == layer
        ]
        return max(found, key=lambda one: one[0].index)

    def _reads(self, layer: str) -> tuple[str, ...]:
        node = self.nodes.get(layer)
        return tuple(node.inputs) if node is not None else (self.model.outputs[0],)

    def operation(self, layer: str, phase: str | None = None) -> Any:
        """Return the first row of the program for a layer, in a phase if one is given."""
        from engine.errors import StateError, UnknownName

        for row in self.session.program.operations:
            if row.layer == layer and (phase is None or row.phase == phase):
                return row
        if layer in self.layers:
            raise StateError(
                f"{layer}: this pass has no {phase} phase of it; choose the training program"
            )
        names = dict.fromkeys(row.layer for row in self.session.program.operations)
        raise UnknownName("layer", layer, names)
