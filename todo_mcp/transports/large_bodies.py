"""Bodies that are too large to be read for anybody and parsed on the event loop."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from todo_mcp.core.errors import Busy
from todo_mcp.transports.json_body import parse

SMALL_MAX = 16 * 1024  # bytes; what is larger is read only for a good token
ROOM = 8 * 1024 * 1024  # bytes of larger bodies that a worker holds at once, from the first byte to the answer


class LargeBodies:
    """Lets in so many bytes at once; what finds no room within ``wait`` seconds is told to come again."""

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._free = ROOM
        self._changed = asyncio.Condition()
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="json")

    @asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        """Room for a body of ``size`` bytes within this context.

        Raises:
            Busy: there was none in time.
        """
        async with self._changed:
            try:
                async with asyncio.timeout(self._wait):
                    await self._changed.wait_for(lambda: self._free >= size)
            except TimeoutError:
                raise Busy from None
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            async with self._changed:
                self._changed.notify_all()

    async def parse(self, body: bytes) -> Any:
        """The JSON value, parsed in a thread, one body at a time.

        Raises:
            BadJson: as ``parse``.
        """
        return await asyncio.get_running_loop().run_in_executor(self._parser, parse, body)

    def close(self) -> None:
        """End the thread."""
        self._parser.shutdown(wait=False)
