"""How data leave the worker thread without ever making the window wait.

Pictures go into a mailbox of one slot, where the newest wins; scalars and messages go into a
queue that loses nothing. A timer of the window empties both.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
Level = Literal["info", "warning", "error", "stop"]
"""How a notice is shown; a ``"stop"`` stays until it is dismissed."""


class Mailbox(Generic[T]):
    """One slot; putting replaces what was not taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._item: T | None = None
        self.replaced = 0

    def put(self, item: T) -> None:
        """Leave the newest item."""
        with self._lock:
            self.replaced += self._item is not None
            self._item = item

    def take(self) -> T | None:
        """Take the item out, or None if there is no new one."""
        with self._lock:
            item, self._item = self._item, None
        return item


class Ring(Generic[T]):
    """A queue without loss for small records."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        """Append one record."""
        self._items.append(item)

    def take_all(self) -> list[T]:
        """Take every record that waits, oldest first."""
        items: list[T] = []
        while self._items:
            items.append(self._items.popleft())
        return items


@dataclass(frozen=True, slots=True)
class Command:
    """Something the worker shall do; `name` is a handler of the bench.

    Commands are numbered from 1 in the order they were given, so that an interruption can say
    which ones it means. Who wants an answer sets `asks`.
    """

    name: str
    arguments: tuple[object, ...] = ()
    number: int = 0
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """How a command that asks went: what its handler returned, or the one sentence of its error."""

    number: int
    value: object = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the person: one line, and a traceback where there is one."""

    level: Level
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StepScalar:
    """One finished training step.

    Parameters
    ----------
    correct, counted : int or None
        So many of the counted samples are right; None counts all of them.
    rate : float or None
        Learning rate of its update, None where nobody kept it.
    """

    step: int
    epoch: int
    batch: int
    loss: float
    samples: int
    correct: int | None
    elapsed_ms: float
    counted: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class EpochScalar:
    """One finished epoch.

    Parameters
    ----------
    accuracy : float or None
        On the test set if `tested`, else of the epoch's own training batches.
    samples : int
        How many the accuracy was measured on; 0 where nobody kept it.
    note : str
        What a reader must know beside the figure, or empty.
    """

    step: int
    epoch: int
    loss: float
    accuracy: float | None
    tested: bool = True
    samples: int = 0
    note: str = ""
