"""Snapshots of a run: enough to go back to any batch by restoring and replaying."""

from __future__ import annotations

from bisect import bisect_right, insort

from engine.scheduler import Snapshot

BUDGET_BYTES = 256 * 2**20
"""Memory for snapshots; older ones are thinned out when it is full."""


class Timeline:
    """Snapshots at the starts of batches, by global step.

    The first is never dropped, so every place of the run stays reachable; when the budget is used
    up, every second of the older half goes.

    Parameters
    ----------
    budget_bytes : int
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self._steps: list[int] = []
        self._snapshots: dict[int, Snapshot] = {}
        self._bytes = 0

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same step replaces it."""
        step = snapshot.global_step
        if step in self._snapshots:
            self._bytes -= self._snapshots[step].memory_bytes
        else:
            insort(self._steps, step)
        self._snapshots[step] = snapshot
        self._bytes += snapshot.memory_bytes
        while self._bytes > self.budget_bytes and len(self._steps) > 3:
            self._thin()

    def _thin(self) -> None:
        older = self._steps[1 : max(len(self._steps) // 2, 2)]
        for step in older[::2]:
            self._steps.remove(step)
            self._bytes -= self._snapshots.pop(step).memory_bytes

    def nearest(self, step: int) -> Snapshot:
        """Return the newest snapshot not after global step `step`."""
        return self._snapshots[self._steps[max(bisect_right(self._steps, step) - 1, 0)]]

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def memory_bytes(self) -> int:
        """Size of all snapshots."""
        return self._bytes
