"""Writing a model as an ONNX file. The onnx package is imported when it is first needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from engine import arguments
from engine.errors import ConfigurationError, StateError, shown
from engine.io.files import write_whole
from engine.model import Model
from engine.record import RunRecord

OPSET = 17
"""Understood by every runtime of the last years; nothing newer is needed."""
LARGEST_BYTES = 2**31 - 1
"""Protocol buffers, of which an ONNX file is one, hold no more."""

Batch = int | Literal["dynamic"]


def export_onnx(
    model: Model,
    path: str | os.PathLike[str],
    *,
    opset: int = OPSET,
    batch: Batch = "dynamic",
    record: RunRecord | None = None,
) -> Path:
    """Write a model as an ONNX file that computes what calling the model does.

    The graph is the one of inference: dropout passes its input on, batch normalisation uses the
    running statistics. Values bear the names of layers, weights the names and the layout of
    ``model.parameters``. The file is complete or absent at any instant.

    Parameters
    ----------
    model : Model
    path : path
        Ends in ``.onnx`` by convention.
    opset : int
        Version of the operators, from 14 to the newest that the installed onnx package knows.
    batch : int or "dynamic"
        Number of samples the file accepts.
    record : RunRecord, optional
        What the run was made with (``scheduler.record``): the names of its classes and what is to
        be done to a picture are written beside the graph, as ``metadata_props`` and as the text of
        the input.

    Returns
    -------
    Path

    Raises
    ------
    StateError
        If `model` is no Model.
    ConfigurationError
        If `opset` or `batch` is out of range, or the weights are more than such a file can hold.
    UnsupportedOperator
        If a layer has no ONNX form; the text names it.
    FormatError
        If the file cannot be written; an old file is untouched.

    References
    ----------
    https://onnx.ai/onnx/operators
    """
    if not isinstance(model, Model):
        raise StateError(f"export_onnx model: expected a Model, received {shown(model)}")
    target = arguments.path("export_onnx path", path)
    if not (isinstance(batch, str) and batch == "dynamic"):
        if not arguments.is_whole(batch) or not 1 <= batch <= arguments.LARGEST:
            expected = 'a whole number of at least 1, or "dynamic"'
            raise arguments.refusal("export_onnx batch", expected, batch)
        batch = int(batch)
    numbers = sum(parameter.size for parameter in model.parameters.values())
    size = numbers * np.dtype(model.dtype).itemsize
    if size > LARGEST_BYTES:
        raise ConfigurationError(
            f"export_onnx: expected at most {LARGEST_BYTES:,} bytes of weights, which is all that "
            f"an ONNX file can hold, received {size:,}"
        )
    if record is not None:
        arguments.instance("export_onnx record", record, RunRecord, "scheduler.record")
    from engine.io.onnx.graph import graph_of, note_record

    graph = graph_of(model, opset, batch)
    if record is not None and record.newest is not None:
        note_record(graph, record)
    write_whole(target, graph.SerializeToString())
    return target
