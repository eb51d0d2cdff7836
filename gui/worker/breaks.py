"""Breakpoints of the window: they outlive the session they were set in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from gui.models.snapshot import BreakpointRow

if TYPE_CHECKING:
    from engine.debug import Session
    from engine.typing import Phase


@dataclass
class _Entry:
    """What was asked for, and the session's own breakpoint."""

    layer: str | None
    phase: str | None
    when: str | None
    hit_count: int
    enabled: bool
    point: Any


class Breaks:
    """Keeps the breakpoints under the window's numbers and sets them again in new sessions."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def clear(self) -> None:
        """Forget all; another run was opened."""
        self._entries.clear()

    def rows(self) -> tuple[BreakpointRow, ...]:
        """Return the list for the panel."""
        return tuple(
            BreakpointRow(
                number,
                entry.layer,
                entry.phase,
                entry.when,
                entry.hit_count,
                entry.point.hits if entry.point is not None else 0,
                entry.enabled,
            )
            for number, entry in sorted(self._entries.items())
        )

    def add(
        self,
        session: Session,
        number: int,
        layer: str | None,
        phase: str | None,
        when: str | None,
        hit_count: int,
    ) -> None:
        """Set a breakpoint; the session refuses bad ones."""
        entry = _Entry(layer, phase, when, hit_count, True, None)
        self._set(session, entry)
        self._entries[number] = entry

    def remove(self, session: Session, number: int) -> None:
        """Take a breakpoint away; one that is gone already is no fault."""
        entry = self._entries.pop(number, None)
        if entry is not None and entry.point is not None:
            session.remove_breakpoint(entry.point)

    def enable(self, session: Session, number: int, enabled: bool) -> None:
        """Switch a breakpoint on or off; its hits start anew."""
        entry = self._entries.get(number)
        if entry is None or entry.enabled == enabled:
            return
        if entry.point is not None:
            session.remove_breakpoint(entry.point)
        entry.enabled = enabled
        self._set(session, entry)

    def attach(self, session: Session) -> None:
        """Set all breakpoints in a new session; those it cannot have wait for the next."""
        from engine.errors import EngineError

        for entry in self._entries.values():
            try:
                self._set(session, entry)
            except EngineError:
                entry.point = None

    def _set(self, session: Session, entry: _Entry) -> None:
        entry.point = session.add_breakpoint(
            layer=entry.layer,
            phase=cast("Phase | None", entry.phase),
            when=entry.when,
            hit_count=entry.hit_count,
            enabled=entry.enabled,
        )
