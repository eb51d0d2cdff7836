"""Test data as a run takes them: pictures prepared as its own, labels matched by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine import Scheduler
from engine.commands.datasets import FOUND_OUT, read_test
from engine.commands.sources import Table
from engine.data import Dataset
from engine.data.parts import listed
from engine.data.preparing import Preparation, prepare_picture
from engine.errors import DataError
from engine.typing import Array


def test_set(scheduler: Scheduler, source: str, table: Table = FOUND_OUT) -> Dataset:
    """Read the test half of what ``--data`` names, in the classes of a run.

    Samples are as the run's own before any transform; `Scheduler.evaluate` and
    `RunRecord.prepared` do the rest.

    Parameters
    ----------
    scheduler : Scheduler
    source : str
        ``"mnist"`` or a path.
    table : Table
        How tables are to be read.

    Raises
    ------
    EngineError
        If they cannot be read, or have classes that the run does not know.
    """
    record, model = scheduler.record, scheduler.model
    shape, look = model.input_shape, record.look

    def digit(path: Path) -> Array:
        # Of a class that the run does not know, nobody looks for digits: its name is refused.
        is_known = record.classes is None or path.parent.name in record.classes
        how = Preparation.auto if is_known else Preparation.plain
        return prepare_picture(path, shape, look, how).x

    if look is not None and len(look.shape) == 3:
        shape = look.shape
    dataset = read_test(source, shape, table, digit if look is not None and look.centred else None)
    names = dataset.classes
    if names is None or not isinstance(dataset.y, np.ndarray):
        return dataset
    if record.classes is None:
        return _by_number(scheduler, dataset, source)
    labels = record.labels(dataset.y, names, source)
    absent = record.missing(dataset.y, names)
    notes = [f"no sample of {listed(absent)}, which the run knows too"] if absent else []
    matched = Dataset(dataset.x, labels, record.classes, name=dataset.name, notes=dataset.notes)
    return matched.with_notes(*notes)


def _by_number(scheduler: Scheduler, dataset: Dataset, source: str) -> Dataset:
    """Return a set whose class names the run has not recorded; its numbers must be plausible."""
    names, outputs = dataset.classes or (), scheduler.model.output_shape
    if len(outputs) == 1 and len(names) != outputs[0]:
        raise DataError(
            f"{source}: expected {outputs[0]} classes, as many as the net has outputs, received "
            f"{len(names)} ({listed(names)}); the names of this run's classes are not recorded, so "
            "a part of them cannot be matched"
        )
    return dataset.with_notes("the names of the run's classes are not recorded: taken in order")


def class_text(scheduler: Scheduler, number: int) -> str:
    """Return a class for the reader: its name, with its number where that is another."""
    name = scheduler.record.name_of(number)
    if name is None or name == str(number):
        return str(number)
    return f"{name}, class {number}"
