"""HTTP/1.1 as uvicorn speaks it, with limits on what a client may send before it is served, and how slowly.

Limits: what is no body (request line, headers, trailers, framing of chunks) comes to ``HEADERS_MAX`` bytes a request,
or the answer is 431; a request's head is complete within ``HEAD_SECONDS``, all of it within ``BODY_SECONDS`` more,
or the connection is closed.
"""

import asyncio
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from todo_mcp import lifecycle

HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0  # 4 MiB at 0.6 Mbit/s
LAST_REQUEST_SECONDS = 0.3  # an idle connection is kept this long at shutdown: a request may be under way
REFUSAL_SECONDS = 1.0  # in which a refused client can read why; closing at once could destroy the answer


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._room = settings.HEADERS_MAX  # bytes that may come until the parser has something complete
        self._has_progressed = False
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._set_timer(None)

    def data_received(self, data: bytes) -> None:
        """Parse in pieces no larger than the room that is left, so that no more than that ever accumulates."""
        while data and not self._refused and not self.transport.is_closing():
            piece, data = data[: self._room], data[self._room :]
            self._has_progressed = False
            super().data_received(piece)
            if self._has_progressed:
                self._room = settings.HEADERS_MAX
            else:
                self._room -= len(piece)
                if self._timer is None:  # the next request on a connection that was idle
                    self._set_timer(HEAD_SECONDS)
            if self._room == 0:
                self._refuse(431, b"The request's headers are too large; send no more than 16 KiB.\n")

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser keeps blanks after a value, which are no part of it (RFC 9110 section 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._has_progressed = True
        self._set_timer(BODY_SECONDS)
        super().on_headers_complete()
        if lifecycle.is_draining():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_progressed = True
        self._set_timer(None)
        super().on_message_complete()

    def shutdown(self) -> None:
        """Finish the request that is being served; wait a moment for one that is under way."""
        if self._is_serving():
            super().shutdown()
        else:
            self.loop.call_later(LAST_REQUEST_SECONDS, super().shutdown)

    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._on_timeout)

    def _on_timeout(self) -> None:
        if self.flow.read_paused:  # it is we who are slow
            self._set_timer(HEAD_SECONDS)
        else:
            self.transport.close()

    def _refuse(self, status: int, text: bytes) -> None:
        """Answer and close, but read (and drop) what the client is still sending for a moment."""
        self._refused = True
        if self._is_serving():  # nothing can be said in the middle of another answer
            self.transport.close()
            return
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(text)
        self.transport.write(STATUS_LINE[status] + head + text)
        self.transport.write_eof()
        self._set_timer(None)
        self.loop.call_later(REFUSAL_SECONDS, self.transport.close)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: we serve such a request as the plain one that it also is, and a client cannot fill the log."""
