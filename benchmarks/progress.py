"""How far a run has come: a bar with the time left in a terminal, lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter:
    """Shows the progress of a run; a context manager around it.

    Parameters
    ----------
    console : Console
    seconds : float
        About how long everything takes.
    """

    def __init__(self, console: Console, seconds: float) -> None:
        self.console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
            auto_refresh=False,  # nothing draws while something is timed
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("preparing", total=seconds)

    def __enter__(self) -> Reporter:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, text: str) -> None:
        """Say what is measured now."""
        if self.console.is_terminal:
            self._progress.update(self._task, description=text, refresh=True)
        else:
            self.say(text)

    def done(self, seconds: float) -> None:
        """Move on by what was to take `seconds`."""
        self._progress.advance(self._task, seconds)
        self._progress.refresh()

    def say(self, text: str) -> None:
        """Print lines as they are, above the bar."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
