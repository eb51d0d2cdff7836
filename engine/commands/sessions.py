"""Debugger sessions for the terminal: which samples they run, and whether they train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine import Scheduler
from engine.commands.datasets import FOUND_OUT
from engine.commands.matching import test_set
from engine.commands.sources import Table
from engine.data import DataLoader, Dataset
from engine.data.preparing import Preparation
from engine.debug import Session
from engine.errors import ConfigurationError
from engine.typing import Array


@dataclass(frozen=True)
class Material:
    """What a session runs on.

    Parameters
    ----------
    x : array, shape (n, ...)
    y : array, shape (n, ...), or None
        Targets; None for a picture.
    title : str
        Where the first sample comes from.
    steps : tuple of str
        What was done to a picture.
    """

    x: Array
    y: Array | None
    title: str
    steps: tuple[str, ...] = ()

    @property
    def label(self) -> int | None:
        """The class of the first sample, if it is known."""
        is_class = self.y is not None and self.y.ndim == 1 and self.y.dtype.kind in "iu"
        return int(self.y[0]) if is_class and self.y is not None else None


def gather(
    scheduler: Scheduler,
    data: str,
    sample: int,
    count: int,
    picture: Path | None = None,
    table: Table = FOUND_OUT,
    how: Preparation = Preparation.auto,
) -> Material:
    """Return the samples of a session: a picture, or `count` samples of a test set.

    Parameters
    ----------
    scheduler : Scheduler
    data : str
        What ``--data`` says.
    sample : int
        Number of the first sample.
    count : int
        Fewer are taken at the end of the set.
    picture : Path, optional
        Instead of the test set.
    table : Table
        How tables are to be read.
    how : Preparation
        Of a picture.

    Raises
    ------
    EngineError
        If they cannot be read or do not exist.
    """
    model = scheduler.model
    if picture is not None:
        ready = scheduler.record.picture(picture, model.input_shape, how)
        return Material(ready.x[np.newaxis], None, str(picture), ready.steps)
    dataset = test_set(scheduler, data, table)
    if sample >= len(dataset):
        raise ConfigurationError(
            f"--sample: expected 0 to {len(dataset) - 1}, received {sample}; {data} has no more"
        )
    chosen = slice(sample, sample + count)
    x = scheduler.record.prepared(dataset.x[chosen])
    return Material(x, dataset.y[chosen], f"{data} test sample {sample}")


def forward_session(scheduler: Scheduler, material: Material) -> Session:
    """Return a session that is a forward pass over the samples."""
    return Session(scheduler.model, material.x)


def training_session(scheduler: Scheduler, material: Material) -> Session:
    """Return a session that is one training step on the samples, from where the run stands.

    Raises
    ------
    ConfigurationError
        If there are no targets.
    """
    if material.y is None:
        raise ConfigurationError(
            "--picture: a training step needs a label, which a picture does not have; use --sample"
        )
    scheduler.batch = 0  # the loader below has one batch, whatever the run was trained with
    loader = DataLoader(Dataset(material.x, material.y), batch_size=len(material.x))
    return Session(scheduler, loader=loader)
