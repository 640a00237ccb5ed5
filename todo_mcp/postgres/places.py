"""The places of the gate, and who gets them."""

import asyncio
from collections import deque
from collections.abc import Hashable

from todo_mcp.core.errors import Busy

Owner = Hashable  # whose share of the places work uses; None is the server itself


class Places:
    """The places of a gate. An owner holds at most half of them, rounded up; only the server may hold all.

    Work that gets no place at once waits behind other work of its owner. Owners that wait get places in turn: so the
    number of works that one owner lets wait does not delay the others.
    """

    def __init__(self, size: int) -> None:
        self.size = self._free = size
        self._share = (size + 1) // 2
        self._held: dict[Owner, int] = {}
        self._waiting: dict[Owner, deque[asyncio.Future[None]]] = {}  # the owner whose turn it is comes first

    @property
    def are_taken(self) -> bool:
        return not self._free

    def take(self, owner: Owner) -> bool:
        """Take a place, if the owner may have one now."""
        held = self._held.get(owner, 0)
        if not self._free or (held >= self._share and owner is not None):
            return False
        self._free -= 1
        self._held[owner] = held + 1
        return True

    async def wait(self, owner: Owner, seconds: float | None = None) -> None:
        """Take a place, and wait for it.

        Raises:
            Busy: it took longer than ``seconds``, or the places are closed.
        """
        if not self.size:
            raise Busy
        if self.take(owner):
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        timer = None if seconds is None else loop.call_later(seconds, _refuse, turn)
        try:
            await turn
        except (Busy, asyncio.CancelledError):
            if turn.cancelled() or turn.exception():
                self._remove(owner, turn)
            else:
                self.give_back(owner)
            raise
        finally:
            if timer:
                timer.cancel()

    def give_back(self, owner: Owner) -> None:
        """Give a place of this owner back. Whoever waits and may have it gets it."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._free += 1
        while self._free and (first := self._next()):
            turns = self._waiting.pop(first[0])
            turn = turns.popleft()
            if turns:
                self._waiting[first[0]] = turns
            if not turn.done() and self.take(first[0]):
                turn.set_result(None)

    async def close(self) -> None:
        """Take every place for ever. If this is cancelled, those that were taken stay taken."""
        while self.size:
            await self.wait(None)
            self.size -= 1
        for turns in self._waiting.values():
            for turn in turns:
                _refuse(turn)

    def _next(self) -> tuple[Owner] | None:
        """The owner who gets the next place. At most two owners hold a full share, so this is a short search."""
        for owner in self._waiting:
            if owner is None or self._held.get(owner, 0) < self._share:
                return (owner,)
        return None

    def _remove(self, owner: Owner, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(owner, deque())
        if turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[owner]


def _refuse(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(Busy())
