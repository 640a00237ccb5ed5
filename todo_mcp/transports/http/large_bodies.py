"""Bodies that are too large to read for a stranger, or to parse on the event loop."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from todo_mcp.core.errors import Busy
from todo_mcp.core.strict_json import parse

SMALL_MAX = 16 * 1024  # bytes; a larger body is read only for a valid token
# Bytes of larger bodies that a worker holds at a time, from the first byte to the answer
CALLS_ROOM = 8 * 1024 * 1024  # for calls; at most half for one caller
FORMS_ROOM = 2 * 1024 * 1024  # for forms, which a stranger may send; at most half for one site


class LargeBodies:
    """Admits ``size`` bytes at a time. A body that gets no room within ``wait`` seconds gets ``Busy``."""

    def __init__(self, size: int, wait: float) -> None:
        self._wait, self._each = wait, size // 2
        self._free = size
        self._held: Counter[str] = Counter()
        self._changed = asyncio.Condition()
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="json")

    @asynccontextmanager
    async def room(self, size: int, owner: str) -> AsyncIterator[None]:
        """Hold room for a body of ``size`` bytes within this context. An owner gets at most half of all room.

        Raises:
            Busy: no room was free in time.
        """
        async with self._changed:
            try:
                async with asyncio.timeout(self._wait):
                    await self._changed.wait_for(lambda: self._fits(size, owner))
            except TimeoutError:
                raise Busy from None
            self._take(size, owner)
        try:
            yield
        finally:
            self._take(-size, owner)
            async with self._changed:
                self._changed.notify_all()

    def _fits(self, size: int, owner: str) -> bool:
        return size <= self._free and self._held[owner] + size <= self._each

    def _take(self, size: int, owner: str) -> None:
        self._free -= size
        self._held[owner] += size
        if not self._held[owner]:
            del self._held[owner]

    async def parse(self, body: bytes) -> Any:
        """The JSON value, parsed in a thread, one body at a time.

        Raises:
            BadJson: as ``parse``.
        """
        return await asyncio.get_running_loop().run_in_executor(self._parser, parse, body)

    def close(self) -> None:
        """End the thread."""
        self._parser.shutdown(wait=False)
