"""The body of a request, read within its limits of size and time."""

import asyncio

from starlette.types import Message, Receive

BODY_SECONDS = 10.0
_DIGITS_MAX = 18  # of a Content-Length
INVALID_REQUEST = -32600  # JSON-RPC 2.0, section 5.1
HEADER_MISMATCH = -32020  # MCP 2026-07-28


class Refused(Exception):
    """The request ends here with this HTTP status; on /mcp also with this code of JSON-RPC."""

    def __init__(self, status: int, message: str, name: str = "invalid_request", code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.name = name
        self.code = code


class RequestBody:
    """Reads at most ``maximum`` bytes, within ``BODY_SECONDS`` after the first of them.

    ``expected`` is the Content-Length, or the maximum if there is none. ``content`` is the body, once it is read.

    Raises:
        Refused: the body is larger, too slow, or ends early.
    """

    def __init__(self, receive: Receive, content_length: str, maximum: int) -> None:
        self._receive = receive
        self._buffer = bytearray()
        self._is_whole = False
        self._seconds = BODY_SECONDS
        self.maximum = self.expected = maximum
        self.content = b""
        if content_length.isascii() and content_length.isdigit():  # the HTTP server refuses anything else
            if len(content_length) > _DIGITS_MAX or int(content_length) > maximum:
                raise self._too_large()
            self.expected = int(content_length)

    async def read(self, limit: int) -> bool:
        """Read to the end, and return True; or stop when the body proves to be larger than ``limit``."""
        if limit < self.expected < self.maximum:
            return False
        if not self._buffer and not self._is_whole:
            self._add(await self._receive())  # usually the whole body; the HTTP server limits this wait
        if self._is_whole or len(self._buffer) > limit:
            return self._is_whole and len(self.content) <= limit
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self._seconds):
                while not self._is_whole and len(self._buffer) <= limit:
                    self._add(await self._receive())
        except TimeoutError:
            raise Refused(408, f"The body did not arrive within {BODY_SECONDS:g} s.") from None
        self._seconds -= loop.time() - started
        return self._is_whole and len(self.content) <= limit

    def replay(self) -> Receive:
        """A receive that gives the body, then what comes after it."""
        pending: list[Message] = [{"type": "http.request", "body": self.content, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await self._receive()

        return replay

    def _add(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            raise Refused(400, "The body ended early.")
        self._buffer += message.get("body", b"")
        if len(self._buffer) > self.maximum:
            raise self._too_large()
        if not message.get("more_body"):
            self.content, self._buffer, self._is_whole = bytes(self._buffer), bytearray(), True

    def _too_large(self) -> Refused:
        return Refused(413, f"The body is larger than {self.maximum} bytes.")
