"""Play: steps at a chosen speed, as many as fit between two pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from engine.debug.position import LEVELS

if TYPE_CHECKING:
    from engine.debug import Session

SLICE_S = 0.02


class Player:
    """Repeats step over; where that ends a level, it goes into the next thing of the same level."""

    def __init__(self) -> None:
        self.playing = False
        self._speed = 1.0
        self._level = 0
        self._due = 0.0

    def play(self, speed: float, level: str | None) -> None:
        """Play so many steps a second, at the level the cursor has now."""
        if level is not None and not self.playing:
            self._level = LEVELS.index(level)
            self._due = time.perf_counter()
        self._speed, self.playing = max(speed, 0.1), True

    def stop(self) -> None:
        """Stand still."""
        self.playing = False

    def work(self, session: Session) -> Any:
        """Make the steps that are due, for 20 ms at most; return the last stop or None."""
        stop: Any = None
        end = time.perf_counter() + SLICE_S
        while self.playing:
            now = time.perf_counter()
            if now < self._due:
                if self._due > end:
                    time.sleep(max(min(end, self._due) - now, 0.0))
                    return stop
                time.sleep(self._due - now)
            stop = self._step(session)
            # A computer that is too slow for the speed plays as fast as it can, without debts.
            self._due = max(self._due + 1 / self._speed, time.perf_counter() - SLICE_S)
            if stop.reason not in ("step", "start"):
                self.playing = False
            if time.perf_counter() > end:
                break
        return stop

    def _step(self, session: Session) -> Any:
        stop = session.step_over()
        while stop.reason == "step" and LEVELS.index(stop.position.level) < self._level:
            before = stop.position
            stop = session.step_into()
            if stop.position.level == before.level or stop.position == before:
                break
        return stop
