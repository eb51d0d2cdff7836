"""The stepping commands of the bench: over, into, out, back, run to, play, break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.worker import runs
from gui.worker.bench_core import BenchCore
from gui.worker.debuggee import OUTPUT
from gui.worker.mailbox import Notice

if TYPE_CHECKING:
    from engine.debug.position import Position


class SteppingCommands(BenchCore):
    """Every method `do_NAME` carries out the command of that name."""

    def do_set_program(self, program: str) -> None:
        """Step a forward pass, or whole training steps."""
        from engine.errors import StateError

        desk = self._open()
        if program == "training" and not desk.info.can_train:
            raise StateError(
                "only the forward pass can be stepped here: no bundled data fit this net's shapes"
            )
        if program != desk.program:
            self._halt()
            self._rebuild(program)

    def do_step(self, kind: str, picked: tuple[int, ...] | None) -> None:
        """Step over, into, out or back."""
        session = self._session()
        if kind == "into" and picked is not None:
            at = session.program.operations[session.position.operation]
            session.pick(at.layer, picked)
            try:
                self._note(session.step_into())
            finally:
                session.pick(None)
            return
        self._note(getattr(session, f"step_{kind}")())

    def do_resume(self) -> None:
        """Run to the next breakpoint or to the end."""
        self._run(self._session().resume)

    def do_reverse_resume(self) -> None:
        """Run back to the breakpoint before."""
        self._run(self._session().reverse_resume)

    def do_next_nan(self) -> None:
        """Run to the first NaN or Inf."""
        session = self._session()
        point = session.add_breakpoint(when="any_nonfinite")
        try:
            self._run(session.resume)
        finally:
            session.remove_breakpoint(point)
        if self._reason == "end":
            self._message = "No NaN and no Inf up to the end."
            self._outlets.notices.put(Notice("info", self._message))

    def do_restart(self) -> None:
        """Stand before the first layer again."""
        desk = self._open()
        self._halt()
        self._rebuild(desk.program)

    def do_run_to(
        self,
        layer: str,
        tensor: str | None = None,
        index: tuple[int, ...] | None = None,
        term: int | None = None,
    ) -> None:
        """Run to a layer, or to a term of one of its elements."""
        desk, session = self._open(), self._session()
        phase = runs.phase_of(tensor, session.position.phase, desk.program)
        row = desk.debuggee.operation(layer, phase)
        runs.check_index(desk.debuggee, layer, tensor or OUTPUT, index)
        place = runs.operation_position(session.position, row)
        if index is not None:
            result = tensor if tensor in row.results else row.results[0]
            inside = session.inside(row)
            place = inside.at_index(place, result, index).at_term(term or 0)
        self._note(session.run_to(place))

    def do_run_to_position(self, place: Position) -> None:
        """Run to a place, forwards or back."""
        self._note(self._session().run_to(place))

    def do_run_to_term(self, term: int) -> None:
        """Run to a term of the element at the cursor, if there is one."""
        session = self._session()
        if session.position.level in ("pixel", "term"):
            self._note(session.run_to(session.position.at_term(term)))

    def do_play(self, speed: float) -> None:
        """Step by itself so many times a second; 0 stands still."""
        if speed > 0:
            self._player.play(speed, self._session().position.level)
        else:
            self._player.stop()

    def do_pause(self) -> None:
        """Stand still."""
        self._halt()

    # --- breakpoints ----------------------------------------------------------------------------

    def do_add_breakpoint(
        self, number: int, layer: str | None, phase: str | None, when: str | None, hits: int
    ) -> None:
        """Add a breakpoint under the window's number."""
        self._breaks.add(self._open().debuggee.session, number, layer, phase, when, hits)

    def do_remove_breakpoint(self, number: int) -> None:
        """Remove a breakpoint."""
        self._breaks.remove(self._open().debuggee.session, number)

    def do_enable_breakpoint(self, number: int, enabled: bool) -> None:
        """Switch a breakpoint on or off."""
        self._breaks.enable(self._open().debuggee.session, number, enabled)
