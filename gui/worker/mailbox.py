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
    """Something the worker shall do; `name` is a handler of the bench."""

    name: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the person: one line, and a traceback where there is one."""

    level: Literal["info", "warning", "error"]
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StepScalar:
    """One finished training step; `correct` of the `counted` samples are right (None: of all)."""

    step: int
    epoch: int
    batch: int
    loss: float
    samples: int
    correct: int | None
    elapsed_ms: float
    counted: int | None = None


@dataclass(frozen=True, slots=True)
class EpochScalar:
    """One finished epoch; the validation accuracy is None without a validation set."""

    step: int
    epoch: int
    loss: float
    accuracy: float | None
