"""Run files: everything a run needs to go on bit for bit, in one safetensors file.

Tensors hold parameters, optimiser moments and running statistics in public layout; the header's
metadata holds architecture, loss, optimiser, position and history as JSON, and a hash of the whole
file, so that any flipped bit is noticed. Nothing in it can execute code.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from engine import arguments
from engine.config import decode, encode
from engine.errors import FormatError, StateError, shown
from engine.history import History
from engine.io.architecture import model_from_data, model_to_data
from engine.io.files import write_whole
from engine.io.recognise import read_run
from engine.io.watching import PREFIX, best_tensors, kept, watch_from_data, watch_to_data
from engine.losses import CrossEntropyLoss, Loss
from engine.model import Model
from engine.optimizers import SGD, Optimizer
from engine.record import RunRecord
from engine.scheduler import Scheduler, Snapshot
from engine.typing import Array

FORMAT = "convscope-run"
VERSION = 2
OLDEST_VERSION = 1
"""Files are written as version 1 as long as its readers would not misunderstand them: they know
nothing of preprocessing, and would show the net other pictures than it was trained on."""
LARGEST_HEADER = 64 * 2**20
"""Bytes; a longer header is refused before it is read."""
PLACEHOLDER = "0" * 64


def save(run: Scheduler | Model, path: str | os.PathLike[str]) -> Path:
    """Write a run (or a model alone) so that it can go on bit for bit.

    The file is complete or absent at any instant: it is written beside its place, flushed to the
    disk, and moved over the old one.

    Parameters
    ----------
    run : Scheduler or Model
        Of a run that a Session is half-way through a batch with, the beginning of that batch.
    path : path
        Ends in ``.safetensors`` by convention.

    Returns
    -------
    Path

    Raises
    ------
    FormatError
        If the file cannot be written; an old file is untouched.
    StateError
        If `run` is neither a Scheduler nor a Model.
    ConfigurationError
        If `path` is no path.
    """
    if not isinstance(run, (Scheduler, Model)):
        raise StateError(f"save run: expected a Scheduler or a Model, received {shown(run)}")
    target = arguments.path("save path", path)
    model = run.model if isinstance(run, Scheduler) else run
    # Description and tensors at one moment: a run that is trained meanwhile is saved between steps.
    with model.guard.using():
        data, tensors = _described(run, model)
    # One key only: safetensors writes several in random order, and equal runs shall be equal files.
    metadata = {"run": json.dumps({**data, "sha256": PLACEHOLDER}, sort_keys=True)}
    content = safetensors.numpy.save(tensors, metadata)
    digest = hashlib.sha256(content).hexdigest()
    write_whole(target, content.replace(PLACEHOLDER.encode(), digest.encode(), 1))
    return target


def _described(run: Scheduler | Model, model: Model) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what a run file holds: description and tensors."""
    data: dict[str, Any] = {"format": FORMAT, "version": OLDEST_VERSION}
    data["model"] = model_to_data(model)
    if isinstance(run, Scheduler):
        tensors = _tensors_of_run(run, run.settled())
        data["loss"], data["optimizer"] = encode(run.loss), encode(run.optimizer)
        data["position"] = {"epoch": run.epoch, "batch": run.batch, "step": run.global_step}
        data["moments_since"] = run.moments_since
        data["history"] = run.history.to_data()
        if run.watch is not None:
            best = kept(run)
            data["early_stopping"] = watch_to_data(run.watch, best)
            tensors |= _tensors_of_best(run, best, tensors)
        if run.record.chapters:
            data["record"] = run.record.to_data()
        if run.record.preprocessing:
            data["version"] = VERSION
    else:
        tensors = {name: np.array(p.value) for name, p in model.parameters.items()}
        tensors |= {f"state.{name}": array for name, array in model.state.items()}
    return data, tensors


def _tensors_of_best(
    run: Scheduler, best: Snapshot | None, now: dict[str, Array]
) -> dict[str, Array]:
    """Return the tensors of the best epoch under names of their own, unless they are those of now.

    That is so at the end of the best epoch itself, and after early stopping has gone back.
    """
    tensors = {} if best is None else _tensors_of_run(run, best)
    if all(array.tobytes() == now[name].tobytes() for name, array in tensors.items()):
        return {}
    return {f"{PREFIX}{name}": array for name, array in tensors.items()}


def _tensors_of_run(run: Scheduler, settled: Snapshot) -> dict[str, Array]:
    """Return parameters, state and moments as they were between two batches, in public layout."""
    model = run.model
    tensors = {
        name: p.attached().to_public(settled.parameters[name])
        for name, p in model.parameters.items()
    }
    for name, buffer in model.state.buffers.items():
        tensors[f"state.{name}"] = buffer.to_public(settled.state[name])
    for name, moments in run.moments.items():
        for number, moment in enumerate(run.optimizer.moments):
            captured = settled.moments[name][number]
            tensors[f"moment.{moment}.{name}"] = moments[number].to_public(captured)
    return tensors


def load(
    path: str | os.PathLike[str], device: str = "auto", threads: int | None = None
) -> Scheduler:
    """Read a run file and return its scheduler, ready to go on; ``load(path).model`` is the model.

    A file that holds a model alone gets cross-entropy and plain SGD.

    Parameters
    ----------
    path : path
    device : {"auto", "cpu", "cuda"}
    threads : int or None

    Raises
    ------
    FormatError
        If the file is missing, damaged, or no run file.
    ConfigurationError, DeviceError
        If an argument is of the wrong kind, or there is no such device.
    """
    target = arguments.path("load path", path)
    content = read_run(target)
    data, tensors = _parse(target, content)
    try:
        model = model_from_data(data["model"], device, threads)
        loss: Any = decode(data["loss"]) if "loss" in data else CrossEntropyLoss()
        optimizer: Any = decode(data["optimizer"]) if "optimizer" in data else SGD()
        if not isinstance(loss, Loss) or not isinstance(optimizer, Optimizer):
            raise FormatError(f"{target}: loss or optimiser is of the wrong kind")
        scheduler = Scheduler(model, loss, optimizer)
        position = data.get("position", {"epoch": 0, "batch": 0, "step": 0})
        scheduler.epoch, scheduler.batch = int(position["epoch"]), int(position["batch"])
        scheduler.global_step = int(position["step"])
        scheduler.moments_since = int(data.get("moments_since", 0))
        if "history" in data:
            scheduler.history = History.from_data(data["history"])
        scheduler.record = RunRecord.from_data(data.get("record", []))
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{target}: the description of the run is incomplete ({error})"
        ) from error
    if "early_stopping" in data:
        # The best epoch's tensors pass through the run's memory: only it knows their inner layout.
        _fill(target, scheduler, best_tensors(tensors) or tensors, moments=True)
        scheduler.watch = watch_from_data(data["early_stopping"], scheduler.capture())
    _fill(target, scheduler, tensors, "optimizer" in data)
    return scheduler


def _parse(target: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return description and tensors, after checking the hash."""
    if len(content) < 8:
        raise FormatError(
            f"{target}: expected a run file, received {len(content)} bytes; it is truncated"
        )
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(LARGEST_HEADER, len(content) - 8):
        raise FormatError(
            f"{target}: expected a safetensors header within the file's {len(content):,} bytes, "
            f"received a length of {length:,}; the file is truncated or no run file"
        )
    try:
        header = json.loads(content[8 : 8 + length])
        data = json.loads(header["__metadata__"]["run"])
        digest = data["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(
            f"{target}: this is no Convscope run file (its header has no description)"
        ) from error
    if not isinstance(digest, str) or len(digest) != 64:
        raise FormatError(f"{target}: this is no Convscope run file (its hash is missing)")
    blank = content.replace(digest.encode(), PLACEHOLDER.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise FormatError(
            f"{target}: the contents do not match the file's hash; it is damaged or truncated"
        )
    try:
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError) as error:
        raise FormatError(f"{target}: damaged ({error})") from error
    if data.get("format") != FORMAT:
        raise FormatError(f"{target}: this is no Convscope run file")
    if data.get("version") not in range(OLDEST_VERSION, VERSION + 1):
        raise FormatError(
            f"{target}: expected run file version {OLDEST_VERSION} to {VERSION}, received "
            f"{data.get('version')}; update Convscope"
        )
    return data, tensors


def _fill(target: Path, scheduler: Scheduler, tensors: dict[str, Array], moments: bool) -> None:
    """Put the tensors where they belong; every one must be there with its shape."""
    wanted: dict[str, Any] = {name: p.attached() for name, p in scheduler.model.parameters.items()}
    wanted |= {f"state.{name}": b for name, b in scheduler.model.state.buffers.items()}
    if moments:
        for name, buffers in scheduler.moments.items():
            for moment, buffer in zip(scheduler.optimizer.moments, buffers, strict=True):
                wanted[f"moment.{moment}.{name}"] = buffer
    for name, buffer in wanted.items():
        array = tensors.get(name)
        if array is None or array.shape != buffer.shape or str(array.dtype) != buffer.dtype:
            received = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise FormatError(
                f"{target}: {name}: expected {buffer.dtype} {buffer.shape}, received {received}"
            )
        buffer.write(array)
