"""A model's graph as an ONNX graph in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from engine import arguments
from engine.errors import ConfigurationError, UnsupportedOperator, shown
from engine.io.onnx.operators import WRITERS, Place
from engine.model import Model, ModelNode
from engine.record import RunRecord, pictures_text
from engine.typing import Array, Shape

LEAST_OPSET = 14
"""The first with HardSwish; Softmax has had today's meaning since 13."""
NAME = "convscope"


def graph_of(model: Model, opset: int, batch: int | str) -> onnx.ModelProto:
    """Return the ONNX form of a model; see `engine.io.onnx.export.export_onnx`.

    Raises
    ------
    ConfigurationError
        If the opset is out of range.
    UnsupportedOperator
        If a layer has no ONNX form.
    """
    newest = onnx.defs.onnx_opset_version()
    if not arguments.is_whole(opset) or not LEAST_OPSET <= opset <= newest:
        raise ConfigurationError(
            f"export_onnx opset: expected {LEAST_OPSET} to {newest} (the newest that onnx "
            f"{onnx.__version__} knows), received {shown(opset)}"
        )
    opset = int(opset)
    rows = _Rows(model)
    for node in model.nodes:
        rows.add(node)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(model.dtype))

    def declared(value: str, shape: Shape) -> onnx.ValueInfoProto:
        first = "batch" if batch == "dynamic" else batch
        return helper.make_tensor_value_info(value, kind, [first, *shape])

    graph = helper.make_graph(
        rows.nodes,
        NAME,
        [declared(name, model.node(name).output_shape) for name in model.inputs],
        [declared(value, shape) for value, shape in rows.outputs()],
        list(rows.initializers.values()),
    )
    versions = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph,
        opset_imports=versions,
        # The oldest file format that has these operators, so that older programs can read it.
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name=NAME,
        producer_version=metadata.version(NAME),
    )


def note_record(graph: onnx.ModelProto, record: RunRecord) -> None:
    """Write what a run was made with beside its graph: programs show it, none is bound by it."""
    notes = {f"{NAME}.pictures": pictures_text(record)}
    if record.classes is not None:
        notes[f"{NAME}.classes"] = json.dumps(list(record.classes))
    if record.preprocessing:
        notes[f"{NAME}.preprocessing"] = json.dumps(record.preprocessing)
    helper.set_model_props(graph, notes)
    if len(graph.graph.input) == 1 and record.look is not None:
        graph.graph.input[0].doc_string = f"pictures (n, c, h, w): {pictures_text(record)}"
    if len(graph.graph.output) == 1 and record.classes is not None:
        graph.graph.output[0].doc_string = f"classes: {', '.join(record.classes)}"


class _Rows:
    """The nodes and initialisers of a graph while it is written."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def add(self, node: ModelNode) -> None:
        """Write one layer."""
        if node.layer is None:
            return
        op = node.layer.op
        if op.name not in WRITERS:
            raise UnsupportedOperator(
                f"export_onnx: {node.name}: {type(node.layer).__name__} has no ONNX form; there "
                f"are forms of {', '.join(sorted(WRITERS))}"
            )
        shapes = [self.model.node(name).output_shape for name in node.inputs]
        place = Place(node, shapes, self.model.dtype, self._write_node, self._write_constant)
        WRITERS[op.name](op, place)

    def _write_node(
        self, kind: str, name: str, inputs: Sequence[str], output: str, attributes: dict[str, Any]
    ) -> None:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))

    def _write_constant(self, name: str, values: Array) -> None:
        # Layers that share a parameter share its initialiser.
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.array(values), name)

    def outputs(self) -> list[tuple[str, Shape]]:
        """Return name and shape of every output: each is a value of its own that a node makes."""
        result: list[tuple[str, Shape]] = []
        taken = set(self.model.inputs)
        for number, name in enumerate(self.model.outputs, 1):
            value = name
            if name in taken:
                value = f"{name}.output{number}"
                self._write_node("Identity", value, [name], value, {})
            taken.add(value)
            result.append((value, self.model.node(name).output_shape))
        return result
