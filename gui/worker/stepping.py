"""The stepping commands of the bench: over, into, out, back, run to, play, break."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gui.widgets.numbers import compact
from gui.worker import runs
from gui.worker.bench_core import BenchCore
from gui.worker.debuggee import OUTPUT
from gui.worker.mailbox import Notice, StepScalar
from gui.worker.spots import find_spot

if TYPE_CHECKING:
    from engine.debug import Session
    from engine.debug.position import Position

GO_BACK = "Alt+F10 goes back to where it began"
AT_END = "The pass is over: Alt+F10 goes one step back, Shift+F5 starts it again."


class SteppingCommands(BenchCore):
    """Every method `do_NAME` carries out the command of that name."""

    _held: tuple[Session, Position, Position] | None = None
    """The place of what a condition found in a session, and where the engine stood then."""

    _told: tuple[Session, int] | None = None
    """How many steps of a session the curves have been told of."""

    def _note(self, stop: Any) -> None:
        """Take a stop, and tell the curves of the batches that the debugger has finished."""
        super()._note(stop)
        if stop is not None and stop.reason == "end":
            self._message = AT_END
        debuggee = self._open().debuggee
        if debuggee.program != "training":
            return
        session = debuggee.session
        scheduler, losses = self._open().scheduler, session.losses
        held = self._told is not None and self._told[0] is session
        told = self._told[1] if self._told is not None and held else debuggee.began
        self._told = (session, max(told, len(losses)))
        first = scheduler.global_step - len(losses)
        for number in range(told, len(losses)):
            epoch, batch = divmod(first + number - debuggee.offset, debuggee.batches)
            loss = losses[number]
            self._outlets.scalars.put(StepScalar(first + number, epoch, batch, loss, 0, None, 0.0))

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
        if kind == "back":
            self._step_back(session)
        elif self._is_over(session):
            return
        elif kind == "into" and picked is not None:
            at = session.program.operations[session.position.operation]
            session.pick(at.layer, picked)
            try:
                self._note(session.step_into())
            finally:
                session.pick(None)
        else:
            self._note(getattr(session, f"step_{kind}")())

    def _step_back(self, session: Session) -> None:
        """Take the last command back; where that is a leap, say where it began."""
        from engine.debug.wording import place_words

        before = session.position
        self._note(session.step_back())
        now, rows = session.position, len(session.program.operations)
        batches = (before.epoch - now.epoch) * self._open().debuggee.batches
        batches += before.batch - now.batch
        if abs(batches * rows + before.operation - now.operation) > 1:
            self._message = f"Back where the last command began: {place_words(session)}."

    def _is_over(self, session: Session) -> bool:
        """Say what the keys do if nothing is left to run."""
        if not session.at_end:
            return False
        self._reason, self._message = "end", AT_END
        self._outlets.notices.put(Notice("info", AT_END))
        return True

    def do_resume(self) -> None:
        """Run to the next breakpoint; without one, to the end of the batch or of the pass."""
        session = self._session()
        if self._is_over(session):
            return
        since, watched = session.commands, any(b.enabled for b in session.breakpoints)
        self._go_on_from_spot(session)
        before, limit = session.position, self._borders(session, watched)
        self._run(lambda: session.resume(batches=limit))
        if self._reason == "breakpoint":
            self._hold(session, since)
        else:
            session.join(since)
            self._message = self._ran(session, before, watched)

    def _borders(self, session: Session, watched: bool) -> int | None:
        """Return how many ends of a batch a run may pass; None in a forward pass."""
        batches = self._open().debuggee.batches
        if not batches:
            return None
        return batches - session.position.batch if watched else 1

    def _ran(self, session: Session, before: Position, watched: bool) -> str:
        """Say what a run has done that no breakpoint has stopped."""
        from engine.debug.wording import batch_words, place_words

        if self._reason == "pause":
            return f"Paused before {place_words(session)}. F5 goes on, {GO_BACK}."
        hit = "no breakpoint was hit" if watched else "no breakpoint is set"
        if self._reason == "end":
            return f"The pass is over: {hit}. Shift+F5 starts it again, {GO_BACK}."
        loss = compact(session.losses[-1], 4)
        if not watched:
            done = batch_words(before.epoch, before.batch)
            done = f"{done[0].upper()}{done[1:]} is done, its loss is {loss}."
            return f"{done} No breakpoint is set, so F5 runs one batch; {GO_BACK}."
        count = self._open().debuggee.batches - before.batch
        batches = f"{count} batch{'es' * (count != 1)}"
        return (
            f"Epoch {before.epoch} is over, its last loss is {loss}: {hit} in {batches}. "
            f"F5 goes on with epoch {session.position.epoch}; {GO_BACK}."
        )

    def do_reverse_resume(self) -> None:
        """Run back to the breakpoint before."""
        session = self._session()
        since = session.commands
        self._go_on_from_spot(session)
        self._run(session.reverse_resume)
        if self._reason == "breakpoint":
            self._hold(session, since)
        session.join(since)

    def do_next_nan(self) -> None:
        """Run to the first NaN or Inf; if there is none, stay."""
        session = self._session()
        if self._is_over(session):
            return
        since = session.commands
        self._go_on_from_spot(session)
        before, limit = session.position, self._borders(session, watched=True)
        point = session.add_breakpoint(when="any_nonfinite")
        try:
            self._run(lambda: session.resume(batches=limit))
        finally:
            session.remove_breakpoint(point)
        if self._reason == "breakpoint":
            self._hold(session, since)
        elif self._reason == "pause":
            self._message = self._ran(session, before, watched=True)
        else:
            where = f"epoch {before.epoch}" if limit else "the pass"
            session.join(since)
            self._note(session.step_back())
            self._message = f"No NaN and no Inf up to the end of {where}; the cursor stays here."
            self._outlets.notices.put(Notice("info", self._message))

    # --- standing at what a condition found -----------------------------------------------------

    def _go_on_from_spot(self, session: Session) -> None:
        """Leave an element that a condition was met at, as if it had never been gone back to."""
        held, self._held = self._held, None
        if held is not None and held[0] is session and held[1] == session.position:
            session.run_to(held[2])

    def _hold(self, session: Session, since: int) -> None:
        """Put the cursor on what a condition has found: the engine stands behind it already."""
        stop, message = session.stop, self._message
        found = find_spot(session, stop, self._open().debuggee.batches)
        if found is not None:
            self._note(session.run_to(found.position))
            self._held = (session, found.position, stop.position)
            self._open().snapshots.looks.spot = found
            self._bad = found.bad
        session.join(since)
        self._reason, self._message = "breakpoint", message

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
        row, result = desk.debuggee.made_by(layer, tensor or OUTPUT)
        runs.check_index(desk.debuggee, layer, tensor or OUTPUT, index)
        place = runs.operation_position(session.position, row)
        if index is not None and result is not None:
            place = session.inside(row).at_index(place, result, index).at_term(term or 0)
        self._run(lambda: session.run_to(place))

    def do_run_to_position(self, place: Position) -> None:
        """Run to a place, forwards or back."""
        session = self._session()
        self._run(lambda: session.run_to(place))

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
