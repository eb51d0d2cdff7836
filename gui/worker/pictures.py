"""Where pictures come from: bundled sets, files, pixels, rules. Runs in the worker thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gui.models.layout import Array
from gui.models.snapshot import Picture
from gui.models.state import Task

if TYPE_CHECKING:
    from engine import Scheduler
    from engine.data import Dataset
    from engine.record import RunRecord

SETS = ("test", "train")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture ready for the net.

    Parameters
    ----------
    x : array, shape (1, ...)
        A batch of one.
    picture : Picture
        For the input panel.
    """

    x: Array
    picture: Picture


@functools.cache
def bundled(name: str) -> Dataset:
    """Return a bundled set; it never changes, so a process needs it once."""
    from engine.data import load_mnist_split

    return load_mnist_split("train" if name == "train" else "test")


class Library:
    """The bundled sets, the small one first, the large one read beside the work.

    Parameters
    ----------
    tell : callable
        Takes the state of reading the large set, for the activity list.
    described : callable
        Takes a set's name, what is in it as a few lines, and what looks like a mistake.
    """

    def __init__(
        self,
        tell: Callable[[Task], None],
        described: Callable[[str, str, tuple[str, ...]], object] = lambda name, text, warnings: (
            None
        ),
    ) -> None:
        self._tell, self._described = tell, described
        self._sets: dict[str, Dataset] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def get(self, name: str) -> Dataset:
        """Return a set; reads it if nobody has yet."""
        with self._lock:
            if name not in self._sets:
                title = f"Reading the {name} set"
                self._tell(Task(f"read {name}", title))
                self._sets[name] = bundled(name)
                count = f"{len(self._sets[name]):,} pictures"
                self._tell(Task(f"read {name}", title, count, 1, 1, True))
            return self._sets[name]

    def preload(self) -> None:
        """Read the training set in the background and describe both; no kernel runs there."""
        if self._reader is None:
            self._reader = threading.Thread(
                target=self._read_all, name="convscope-reader", daemon=True
            )
            self._reader.start()

    def _read_all(self) -> None:
        for name in SETS:
            found = self.get(name).describe()
            self._described(name, str(found), found.warnings)

    def sizes(self, scheduler: Scheduler) -> dict[str, int]:
        """Return how many pictures each set has, if they are of the run's kind.

        Their shape must be that of the pictures the run was trained on, and their classes the run's
        own: labels of other classes would be wrong ones.
        """
        test, record = self.get("test"), scheduler.record
        shape = scheduler.model.input_shape if record.look is None else record.look.shape
        if test.sample_shape != tuple(shape):
            return {}
        if record.classes is not None and record.classes != test.classes:
            return {}
        return {"test": len(test), "train": 60_000}


def sample_of(dataset: Dataset, name: str, number: int, record: RunRecord | None = None) -> Sample:
    """Return picture `number` of a set, as a run's net takes it.

    Raises
    ------
    ConfigurationError
        If there is no such picture.
    """
    from engine.errors import ConfigurationError

    if not 0 <= number < len(dataset):
        raise ConfigurationError(
            f"{name} set: expected a picture number below {len(dataset)}, received {number}"
        )
    x = np.array(dataset.x[number : number + 1])
    if record is not None:
        x = record.prepared(x)
    label = int(dataset.y[number]) if dataset.y.ndim == 1 else None
    title = f"{name} #{number}" + (f" · label {label}" if label is not None else "")
    return Sample(x, Picture(x[0], title, label, f"{name}#{number}"))


def sample_of_array(x: Array, title: str, source: str) -> Sample:
    """Return an array of the net's input shape as a sample without label."""
    batch = np.ascontiguousarray(x, np.float32)[np.newaxis]
    return Sample(batch, Picture(batch[0].copy(), title, None, source))


def synthetic(kind: str, amount: int, input_shape: tuple[int, ...]) -> Array:
    """Return a picture made by rule, float32 in [0, 1].

    Parameters
    ----------
    kind : str
        ``impulse``, ``edge``, ``bars``, ``checker``, ``noise`` or ``constant``.
    amount : int
        Place from the middle, period, or seed.
    """
    rows, columns = (*input_shape, 1, 1)[-2:] if len(input_shape) < 2 else input_shape[-2:]
    y, x = np.mgrid[0:rows, 0:columns]
    period = max(amount, 1)
    if kind == "impulse":
        plane = ((y == rows // 2) & (x == (columns // 2 + amount) % columns)).astype(np.float32)
    elif kind == "edge":
        plane = (x >= (columns // 2 + amount) % max(columns, 1)).astype(np.float32)
    elif kind == "bars":
        plane = ((x // period) % 2).astype(np.float32)
    elif kind == "checker":
        plane = ((x // period + y // period) % 2).astype(np.float32)
    elif kind == "noise":
        return np.random.default_rng(amount).random(input_shape, np.float32)
    else:
        plane = np.full((rows, columns), min(amount, 10) / 10, np.float32)
    return np.ascontiguousarray(np.broadcast_to(plane, input_shape), np.float32)
