"""From a place in a run to an explanation: finds the op, gives it a view, adds what came after."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.debug.tape import Tape
from engine.device import Buffer, replay
from engine.errors import ShapeError, StateError, UnknownName, shown
from engine.explanation import Explanation, Operand, Stage, Terms
from engine.layers.base import Layer
from engine.ops.base import View
from engine.ops.elementwise import input_number
from engine.ops.explaining import accumulated, finish, number, place, retold
from engine.typing import Array, Index, Phase

if TYPE_CHECKING:
    from engine.model import ModelNode
    from engine.program import Operation


class Explainer:
    """Explains tensors of the batch a tape stands in."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    # -- which operation computes what -------------------------------------------------------

    def operation_for(self, layer: str, result: str) -> int:
        """Return the row of the program that computes a result.

        Raises
        ------
        UnknownName, StateError
            If there is no such layer, or this program does not compute that result.
        """
        program = self.tape.program
        if layer != "loss":
            program.model.node(layer)
        if result == "grad_output":
            readers = self._readers(layer)
            rows = [program.producers[f"{name}.{slot}"] for name, slot in readers]
            if rows:
                return max(rows)
        row = program.producers.get(f"{layer}.{result}")
        if row is None:
            have = [op.results for op in program.operations if op.layer == layer]
            names = ", ".join(name for results in have for name in results) or "nothing"
            raise StateError(
                f"{layer} tensor: this program does not compute {shown(result)}; it computes "
                f"{names}"
                + (
                    ""
                    if program.loss
                    else " (a forward pass alone: make the Session from a Scheduler and a loader)"
                )
            )
        return row

    def _readers(self, layer: str) -> list[tuple[str, str]]:
        """Return who reads a layer's output: (reader, gradient slot), in the order they write."""
        program, found = self.tape.program, []
        if program.loss is not None and layer in program.model.outputs:
            found.append(("loss", "input.gradient"))
        for node in reversed(program.model.nodes):
            for position, name in enumerate(node.inputs):
                slot = "input.gradient" if position == 0 else f"input{position + 1}.gradient"
                if name == layer and f"{node.name}.{slot}" in program.producers:
                    found.append((node.name, slot))
        return found

    def completed(self, operation: Operation) -> dict[str, Buffer]:
        """Return sums of several gradients that a backward operation has added to, by name.

        Of a tensor with several readers, only the last of them has made it complete.
        """
        program, layer = self.tape.program, operation.layer
        node, sums = program.model.node(layer), dict[str, Buffer]()
        for producer in node.inputs:
            readers = self._readers(producer)
            rows = [program.producers[f"{name}.{slot}"] for name, slot in readers]
            if len(rows) > 1 and max(rows) == operation.index:
                name = f"{producer}.grad_output"
                sums[name] = program.tensors[name]
        for name, parameter in (node.layer.parameters if node.layer else {}).items():
            total = program.gradients.get(parameter.name)
            if total is not None and total is not program.buffer(f"{layer}.{name}.gradient"):
                sums[f"{parameter.name}.gradient"] = total
        return sums

    # -- explaining --------------------------------------------------------------------------

    def explain(self, layer: str, result: str, index: Index) -> Explanation:
        """Explain one element of a tensor that has been computed in this batch."""
        with np.errstate(all="ignore"):  # a NaN or an infinity is what one wants to have explained
            return self._explain(layer, result, index)

    def _explain(self, layer: str, result: str, index: Index) -> Explanation:
        if result == "grad_output":
            return self._explain_output_gradient(layer, index)
        row = self.tape.operations[self.operation_for(layer, result)]
        view = self.view(layer, row.phase)
        shape = self._checked(view, result, index)
        index = tuple(i % size for i, size in zip(index, shape, strict=True))
        if layer == "loss":
            if self.tape.program.loss is None:
                raise StateError("loss: this program has no loss")
            return self._with_penalties(result, self.tape.program.loss.explain(view, result, index))
        if row.phase == "update":
            if self.tape.program.optimizer is None:
                raise StateError(f"{layer}: this program has no update")
            return self.tape.program.optimizer.explain(view, result, index)
        explanation = self._layer(layer).op.explain(view, result, index)
        return self._with_penalty(layer, result, index, explanation)

    def _checked(self, view: View, result: str, index: Index) -> tuple[int, ...]:
        """Return the shape of the result, after checking the index against it."""
        shape = view.array(result).shape
        if len(index) != len(shape) or any(
            not -s <= i < s for i, s in zip(index, shape, strict=False)
        ):
            raise ShapeError(
                f"{view.tensor_name(result)}: expected an index within shape {shape}, "
                f"received {tuple(index)}"
            )
        return shape

    def _layer(self, name: str) -> Layer:
        return self.tape.program.model[name]

    def _with_penalty(
        self, layer: str, result: str, index: Index, explanation: Explanation
    ) -> Explanation:
        """Add the regulariser's part to the explanation of a weight gradient."""
        parameter = self._layer(layer).parameters.get(result.removesuffix(".gradient"))
        if not result.endswith(".gradient") or parameter is None or parameter.regularizer is None:
            return explanation
        regularizer = parameter.regularizer
        weight = self._parameter_before(parameter.name)[index]
        value = replay.call(
            type(regularizer).function, weight, explanation.value, regularizer.strength
        )
        stage = Stage("+ penalty", float(value), regularizer.formula)
        where = np.array([index], np.int64)
        explained = replace(
            explanation,
            value=value,
            stages=(*explanation.stages, stage),
            sources=(*explanation.sources, Operand(parameter.name, np.array([weight]), where)),
            sentence=f"{place(explanation.tensor, index)} is {number(value)}: "
            f"{number(explanation.value)} from the batch, and the penalty, {regularizer.formula}.",
        )
        return retold(explained)

    def _with_penalties(self, result: str, explanation: Explanation) -> Explanation:
        """Add the penalties of all layers to the explanation of the loss, in the engine's order."""
        regularized = {
            name: parameter
            for name, parameter in self.tape.program.model.parameters.items()
            if parameter.regularizer is not None
        }
        if result != "output" or not regularized:
            return explanation
        value, stages = explanation.value, list(explanation.stages[:-1])
        sources = list(explanation.sources)
        for name, parameter in regularized.items():
            if parameter.regularizer is not None:
                weight = self._parameter_before(name)
                bad = np.argwhere(~np.isfinite(weight))
                sources.append(Operand(name, weight[tuple(bad.T)], bad))
                penalty, value = parameter.regularizer.replayed(weight, value)
                kind = type(parameter.regularizer).__name__
                stages.append(Stage(f"+ {kind} of {name}", float(penalty)))
        stages.append(Stage("= loss", float(value), "losses + penalties"))
        explained = replace(explanation, value=value, stages=tuple(stages), sources=tuple(sources))
        return retold(explained)

    def _explain_output_gradient(self, layer: str, index: Index) -> Explanation:
        """Explain the gradient of a layer's output: its one reader's, or the sum of several."""
        readers = self._readers(layer)
        if len(readers) == 1:
            return self.explain(*readers[0], index)
        if not readers:
            raise StateError(f"{layer}: no gradient reaches its output in this program")
        program = self.tape.program
        view = View(layer, (), lambda name: program.read(f"{layer}.{name}"), program.training)
        self._checked(view, "grad_output", index)
        values = np.array([program.read(f"{name}.{slot}")[index] for name, slot in readers])
        totals = accumulated(values)
        operand = Operand(
            ", ".join(f"{name}.{slot}" for name, slot in readers),
            values,
            np.tile(index, (len(values), 1)),
            tuple(f"{name}.{slot}" for name, slot in readers),
        )
        explanation = finish(
            view,
            "grad_output",
            index,
            kind="sum",
            formula="sum of the gradients from all readers",
            order="readers, from the output of the net backwards",
            value=totals[-1],
            terms=Terms((operand,), values, totals),
            stages=(Stage("= gradient", float(totals[-1])),),
            sentence=f"{place(f'{layer}.grad_output', index)} is {number(totals[-1])}, from "
            f"{', '.join(name for name, _ in readers)}.",
        )
        return replace(explanation, phase="backward")

    # -- views -------------------------------------------------------------------------------

    def view(self, layer: str, phase: Phase) -> View:
        """Return the numbers around a layer (or the loss) in this batch, as a phase sees them."""
        program = self.tape.program
        rates = tuple(program.rates.read().tolist())
        if layer == "loss":
            source = program.model.node(program.model.outputs[0]).tensor
            return View(
                "loss",
                (source,),
                lambda name: self._loss_array(name, source),
                program.training,
                rates,
            )
        node = program.model.node(layer)
        names = tuple(program.model.node(name).tensor for name in node.inputs)
        return View(
            layer,
            names,
            lambda name: self._node_array(node, name, phase),
            program.training,
            rates,
            program.convolution,
            self.lasting(node),
        )

    def lasting(self, node: ModelNode) -> dict[str, str]:
        """Return the full names of a node's parameters and running statistics by short ones."""
        layer, state = node.layer, self.tape.program.model.state.buffers
        if layer is None:
            return {}
        full = {id(buffer): name for name, buffer in state.items()}
        names = {name: full[id(buffer)] for name, buffer in layer.state.items()}
        return names | {name: parameter.name for name, parameter in layer.parameters.items()}

    def _loss_array(self, name: str, source: str) -> Array:
        return self.tape.program.read(source if name == "input" else f"loss.{name}")

    def _node_array(self, node: ModelNode, name: str, phase: Phase) -> Array:
        """Read what an explanation asks for; weights are those the phase saw. See `View.array`."""
        program = self.tape.program
        if name.startswith("input") and not name.endswith(".gradient"):
            source = node.inputs[int(name[5:] or 1) - 1]
            return program.read(program.model.node(source).tensor)
        if input_number(name) is not None and f"{node.name}.{name}" not in program.tensors:
            raise StateError(
                f"{node.name}: this program does not compute the gradient of its input, "
                "because nothing needs it"
            )
        full = self._parameter_name(node, name.removesuffix(".before").split(".")[0])
        if phase == "update" and name.endswith(".gradient") and full in program.gradients:
            return program.gradients[full].read()  # of all uses of a layer that is used twice
        if name.endswith(".before"):
            moment = name.removesuffix(".before").partition(".")[2]
            return self._moment_before(full, moment) if moment else self._parameter_before(full)
        if phase == "update" and name.endswith(".gradient"):
            return program.gradients[full].read()  # of a shared layer, the sum over its uses
        if name in (node.layer.parameters if node.layer else {}):
            return program.read(full) if phase == "update" else self._parameter_before(full)
        return program.read(f"{node.name}.{name}")

    def _parameter_name(self, node: ModelNode, name: str) -> str:
        """Return the full name of a layer's parameter; shared layers have it from the first use."""
        parameters = node.layer.parameters if node.layer else {}
        return parameters[name].name if name in parameters else f"{node.name}.{name}"

    def _parameter_before(self, name: str) -> Array:
        """Return a parameter as it was before this batch's update."""
        buffer = self.tape.program.model.parameters[name].attached()
        start = self.tape.start
        return buffer.read() if start is None else buffer.to_public(start.parameters[name])

    def _moment_before(self, name: str, moment: str) -> Array:
        """Return an optimiser's tensor as it was before this batch's update."""
        program, start = self.tape.program, self.tape.start
        if program.optimizer is None or start is None:
            raise UnknownName("tensor", f"{name}.{moment}", program.tensor_names())
        number_of = program.optimizer.moments.index(moment)
        return program.moments[name][number_of].to_public(start.moments[name][number_of])
