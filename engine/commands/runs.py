"""Opening run files, and what a model can be used for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine import Model, Scheduler, load
from engine.commands.options import BUNDLED
from engine.data import bundled
from engine.device import replay
from engine.errors import ConfigurationError, DataError, FormatError, ShapeError
from engine.io.files import check_writable
from engine.metrics import predictions
from engine.ops.activation import Softmax
from engine.typing import Array

BUNDLED_FILE = "lenet5-mnist.safetensors"


def open_run(run: str, device: str = "auto", threads: int | None = None) -> Scheduler:
    """Read a run file, or the net that comes with the product.

    Raises
    ------
    EngineError
        If there is none, or it is damaged.
    """
    if run == BUNDLED and not Path(run).exists():
        return load(bundled.path(BUNDLED_FILE), device, threads)
    if not Path(run).exists():
        raise FormatError(
            f"{run}: there is no such run file; 'convscope train --output {run}' makes one"
        )
    return load(run, device, threads)


def check_output(path: Path | None, option: str = "--output", size: int = 0) -> None:
    """Refuse a place that nothing can be written to, before hours of work go there.

    Parameters
    ----------
    path : Path or None
    option : str
        What the user called it.
    size : int
        Bytes that will be written, as far as that is known.

    Raises
    ------
    ConfigurationError
        If a file could not be written there now.
    """
    if path is None:
        return
    try:
        check_writable(path, size)
    except FormatError as error:
        raise ConfigurationError(f"{option}: {error}") from error


def check_classifier(model: Model, run: str) -> None:
    """Refuse a model whose output is not one score for each class.

    Raises
    ------
    ShapeError
        If it is something else.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.output_shape) != 1:
        shapes = ", ".join(str(model.node(name).output_shape) for name in model.outputs)
        raise ShapeError(
            f"{run}: expected a model with one input and an output (n, classes), this one has "
            f"{len(model.inputs)} inputs and outputs of shape {shapes} for each sample"
        )


def probabilities(model: Model, scores: Array) -> Array:
    """Return scores (n, classes) as probabilities; those of a softmax layer are so already."""
    layer = model.node(model.outputs[0]).layer
    if layer is not None and isinstance(layer.op, Softmax):
        return scores
    shifted = replay.exponentials(scores - scores.max(axis=1, keepdims=True))
    share: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return share


def decide(model: Model, x: Array, run: str) -> tuple[Array, Array]:
    """Return the class and its probability for each sample.

    Returns
    -------
    classes : int64 array, shape (n,)
    confidence : array, shape (n,)

    Raises
    ------
    DataError
        If a score is NaN, so that no class can be told.
    """
    scores = model(x)
    classes = predictions(scores)
    if (classes < 0).any():
        raise DataError(
            f"{run}: the scores of sample {int(np.argmin(classes))} are NaN; the weights of this "
            "run are broken, train again with a smaller learning rate"
        )
    return classes, probabilities(model, scores)[np.arange(len(classes)), classes]
