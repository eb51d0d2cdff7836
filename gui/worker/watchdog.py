"""A cheap freeze detector: how late is the window's thread, and where does it hang."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback

LATE_S = 0.25
logger = logging.getLogger("convscope.watchdog")


class Watchdog:
    """Watches beats of a thread; logs its stack once when a beat is later than a quarter second.

    Parameters
    ----------
    late_s : float
        Seconds without a beat that count as a freeze.
    """

    def __init__(self, late_s: float = LATE_S) -> None:
        self.late_s = late_s
        self.freezes: list[float] = []
        self.longest_gap_s = 0.0
        self._watched = threading.get_ident()
        self._last = time.monotonic()
        self._told = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="convscope-watchdog", daemon=True)

    def start(self) -> None:
        """Start to watch the thread that made this object."""
        self._last = time.monotonic()
        self._thread.start()

    def beat(self) -> None:
        """Say that the watched thread is alive; called from its timer."""
        now = time.monotonic()
        gap = now - self._last
        self.longest_gap_s = max(self.longest_gap_s, gap)
        if self._told:
            self.freezes.append(gap)
        self._last, self._told = now, False

    def reset(self) -> None:
        """Forget the longest gap measured so far."""
        self._last = time.monotonic()
        self.longest_gap_s = 0.0

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self.late_s / 4):
            gap = time.monotonic() - self._last
            if gap > self.late_s and not self._told:
                self._told = True
                frame = sys._current_frames().get(self._watched)
                stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
                logger.warning("the window's thread is %.0f ms late:\n%s", gap * 1000, stack)
