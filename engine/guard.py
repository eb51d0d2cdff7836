"""Who may use a model's memory, and who may change its weights: first come, first served.

A model's programs are memory that every call writes into, and its weights change with every
training step. So each call has a turn of its own, and an evaluation of many batches sees the
weights of one step throughout, whatever other threads do.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from engine.errors import StateError

Wish = Literal["use", "change", "keep"]
WISHES: tuple[Wish, ...] = ("use", "change", "keep")

_serial = itertools.count()


class _Ticket:
    """A thread that waits for its turn."""

    __slots__ = ("granted", "signal", "thread", "wish")

    def __init__(self, thread: int, wish: Wish) -> None:
        self.thread, self.wish, self.granted = thread, wish, False
        self.signal = threading.Lock()
        self.signal.acquire()


class Turn:
    """A turn at a guard as a context; it holds nothing, so one serves all threads."""

    __slots__ = ("_guard", "_wish")

    def __init__(self, guard: Guard, wish: Wish) -> None:
        self._guard, self._wish = guard, wish

    def __enter__(self) -> None:
        self._guard.enter(self._wish)

    def __exit__(self, *error: object) -> None:
        self._guard.leave(self._wish)


class Guard:
    """Turns at memory that several threads share.

    - `using`: nobody else uses the memory meanwhile.
    - `changing`: the same, and nobody else relies on the weights staying as they are.
    - `keeping`: the weights stay as they are; others may use the memory in between.

    All three may be nested within one thread. Waiting threads get their turns in order, but a
    thread that wants to change weights lets pass who only uses them while somebody keeps them.
    """

    def __init__(self) -> None:
        self.number = next(_serial)
        """Guards that are needed together are taken in this order."""
        self._fields = threading.Lock()
        self._owner, self._depth, self._may_change = 0, 0, False
        self._keepers: dict[int, int] = {}
        self._waiting: list[_Ticket] = []
        self._using, self._changing, self._keeping = (Turn(self, w) for w in WISHES)

    @property
    def parts(self) -> tuple[Guard, ...]:
        """The guard itself; `Guards` has several."""
        return (self,)

    def using(self) -> Turn:
        """Be the only one who uses the memory."""
        return self._using

    def changing(self) -> Turn:
        """Be the only one who uses the memory, while nobody else keeps the weights.

        Raises
        ------
        StateError
            If this thread uses or keeps the weights already and another one keeps them, too: each
            would wait for the other.
        """
        return self._changing

    def keeping(self) -> Turn:
        """Have the weights stay as they are; every use of the memory still needs a turn."""
        return self._keeping

    def enter(self, wish: Wish) -> None:
        """Wait for a turn; `leave` ends it."""
        me = threading.get_ident()
        with self._fields:
            if wish != "keep" and self._owner == me:
                if wish == "change" and not self._may_change and self._kept_by_others(me):
                    raise self._conflict()
                self._depth += 1
                return
            if wish == "keep" and (me in self._keepers or self._owner == me):
                self._keepers[me] = self._keepers.get(me, 0) + 1
                return
            if wish == "change" and me in self._keepers and self._kept_by_others(me):
                raise self._conflict()
            if not self._waiting and self._grant(wish, me):
                return
            ticket = _Ticket(me, wish)
            self._waiting.append(ticket)
            self._serve()
        try:
            ticket.signal.acquire()
        except BaseException:  # an interrupt from the keyboard: nobody may wait for this thread
            self._withdraw(ticket)
            raise

    def leave(self, wish: Wish) -> None:
        """End what `enter` with the same wish began."""
        me = threading.get_ident()
        with self._fields:
            if wish == "keep":
                self._keepers[me] -= 1
                if not self._keepers[me]:
                    del self._keepers[me]
            else:
                self._depth -= 1
                if not self._depth:
                    self._owner = 0
            if self._waiting:
                self._serve()

    def _kept_by_others(self, thread: int) -> bool:
        return any(keeper != thread for keeper in self._keepers)

    def _grant(self, wish: Wish, thread: int) -> bool:
        """Give a thread its turn if that is possible now."""
        if wish == "keep":
            self._keepers[thread] = self._keepers.get(thread, 0) + 1
            return True
        if self._owner or (wish == "change" and self._kept_by_others(thread)):
            return False
        # Who comes to keep the weights while they are being changed uses them only afterwards.
        self._owner, self._depth, self._may_change = thread, 1, wish == "change"
        return True

    def _serve(self) -> None:
        """Give turns to those who wait, in order, as far as possible."""
        changer = False
        for ticket in tuple(self._waiting):
            # Who waits to change the weights would never get there if others kept coming.
            if changer and ticket.wish == "keep":
                continue
            if self._grant(ticket.wish, ticket.thread):
                self._waiting.remove(ticket)
                ticket.granted = True
                ticket.signal.release()
            elif ticket.wish == "change":
                changer = True

    def _withdraw(self, ticket: _Ticket) -> None:
        with self._fields:
            granted = ticket.granted
            if not granted:
                self._waiting.remove(ticket)
        if granted:
            self.leave(ticket.wish)

    @staticmethod
    def _conflict() -> StateError:
        return StateError(
            "model: weights cannot be changed while this thread and another one evaluate with "
            "them; change them before or after the evaluation"
        )


class Guards:
    """Several guards as one: of a model that shares layers with others."""

    def __init__(self, guards: Sequence[Guard]) -> None:
        self._guards = sorted(set(guards), key=lambda one: one.number)

    @property
    def parts(self) -> tuple[Guard, ...]:
        """The guards, in the order in which they are taken."""
        return tuple(self._guards)

    def using(self) -> contextlib.AbstractContextManager[None]:
        """As `Guard.using`."""
        return self._all(Guard.using)

    def changing(self) -> contextlib.AbstractContextManager[None]:
        """As `Guard.changing`."""
        return self._all(Guard.changing)

    def keeping(self) -> contextlib.AbstractContextManager[None]:
        """As `Guard.keeping`."""
        return self._all(Guard.keeping)

    @contextlib.contextmanager
    def _all(
        self, entry: Callable[[Guard], contextlib.AbstractContextManager[None]]
    ) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for guard in self._guards:
                stack.enter_context(entry(guard))
            yield


__all__ = ["Guard", "Guards"]
