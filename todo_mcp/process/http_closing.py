"""When a connection ends: timeouts, refusals, clients that do not read, and the shutdown of the server."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from todo_mcp.process.http_answers import Cycle, Flow
from todo_mcp.process.http_connections import connections
from todo_mcp.process.http_head import Refusal
from todo_mcp.transports.http.refusals import body_at_target

HEAD_SECONDS = 10.0
UNREAD_SECONDS = 30.0  # within which a client must read a piece of an answer
LAST_REQUEST_SECONDS = 0.3  # how long an idle connection stays open at shutdown: a request may be on its way
REFUSAL_SECONDS = 1.0  # how long a refused client can read the answer; closing at once could destroy it
SAFE_HEADERS = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"


class ClosingProtocol(HttpToolsProtocol):
    """Base of ``HttpProtocol``: decides when the connection closes.

    ``_closing`` says that input is dropped, and that the connection closes after the complete requests. ``_answering``
    is the request whose answer is being sent.
    """

    flow: Flow
    cycle: Cycle

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._closing = False
        self._answering: Cycle | None = None
        self._is_surplus = False
        self._unread_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for cycle in (self._answering, *(waiting for waiting, _ in self.pipeline)):  # uvicorn notifies only the latest
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        connections.remove_waiting(self)
        if self._is_surplus:
            connections.count_refused(-1)
        self._set_timer(None)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._note_turn()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()
        self._note_turn()

    def abort(self) -> None:
        self.transport.abort()

    def abort_if_unread(self, now: float) -> None:
        """Close the connection if the client has read nothing for ``UNREAD_SECONDS``. Call it every few seconds."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since >= UNREAD_SECONDS:
            self.transport.abort()

    def shutdown(self) -> None:
        """Finish the current request; wait a moment for one that may be on its way."""
        if self._is_serving():
            super().shutdown()
        else:
            self.loop.call_later(LAST_REQUEST_SECONDS, super().shutdown)

    def _is_serving(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _note_turn(self) -> None:
        """Record whether the connection waits for the client to send or to read."""
        answering = self._answering
        if answering and not answering.response_complete and not answering.more_body and not self.flow.write_paused:
            connections.remove_waiting(self)
        else:
            connections.add_waiting(self)

    def _hold_reading(self, is_held: bool) -> None:
        """Do not read while input is unparsed; read again when it is parsed."""
        was_held, self.flow.is_held = self.flow.is_held, is_held
        if is_held:
            self.flow.pause_reading()
        elif was_held:
            self.flow.resume_reading()

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _on_timeout(self) -> None:
        if self.flow.read_paused:  # the server is slow, not the client
            self._set_timer(HEAD_SECONDS)
        else:
            self.transport.close()

    def _refuse_with(self, refusal: Refusal) -> None:
        self._refuse(refusal.status, body_at_target(self.url, refusal.status, refusal.text))

    def _refuse(self, status: int, json: bytes, headers: bytes = b"") -> None:
        """Answer and close. If an earlier request has no answer yet, send no refusal and close after that answer."""
        is_broken = self.cycle is not None and self.cycle.more_body  # the refused request was being read
        if is_broken and self.pipeline:
            self.pipeline.popleft()
        elif is_broken and self._is_serving():
            if self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = self.cycle.response_complete = True  # its answer comes too late
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        self._closing = True
        self._set_timer(None)
        if not self._is_serving():
            length = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(json)
            self.transport.write(b"".join([STATUS_LINE[status], headers, SAFE_HEADERS, length, json]))
            self._close_later()

    def _close_later(self) -> None:
        """Close after ``REFUSAL_SECONDS``; until then read and drop what the client sends."""
        self._closing = True
        self._unset_keepalive_if_required()
        self._set_timer(None)
        self._hold_reading(False)
        self.flow.resume_reading()
        self.transport.write_eof()
        self.loop.call_later(REFUSAL_SECONDS, self.transport.close)


def abort_unread(open_connections: Iterable[Any]) -> None:
    """Close the connections of clients that do not read."""
    now = time.monotonic()
    for connection in list(open_connections):
        if isinstance(connection, ClosingProtocol):
            connection.abort_if_unread(now)
