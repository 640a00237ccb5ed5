"""uvicorn's HTTP/1.1, with strict framing and with limits for slow, large and unread requests.

Framing: the server never takes an unread byte of a body for the next request. If the rest of a request is unread, the
connection closes. The server ignores an upgrade and serves the plain request (RFC 9110, section 7.8). It drops
trailers (RFC 9110, section 6.5.1).

Limits: everything but the body (request line, headers, trailers, framing of chunks) may have ``HEADERS_MAX`` bytes and
``HEADERS_COUNT_MAX`` headers; a larger request gets 431. The head must be complete within ``HEAD_SECONDS`` and the rest
within ``REQUEST_SECONDS`` more. The connection closes otherwise, and also if the client reads nothing for
``UNREAD_SECONDS``.
"""

import asyncio
from typing import Any

import httptools
from django.conf import settings
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from todo_mcp.core.envelope import failure, to_json
from todo_mcp.core.errors import Busy
from todo_mcp.process.http_answers import Cycle, Flow
from todo_mcp.process.http_closing import HEAD_SECONDS, ClosingProtocol
from todo_mcp.process.http_connections import connections
from todo_mcp.process.http_head import HEADERS_COUNT_MAX, Refusal, check_head, malformed, too_large, too_many
from todo_mcp.transports.http import health

REQUEST_SECONDS = 15.0  # RequestChecks answers 408 earlier, once part of the body has arrived
PIPELINED_MAX = 8  # requests that wait for an earlier answer; further ones are not parsed yet
PIECE_PARSED = 2048  # bytes; the parser cannot stop within a piece, which may hold a hundred short requests


def install() -> None:
    """Let uvicorn answer with ``Cycle``; it has no setting for that."""
    httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]


class HttpProtocol(ClosingProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._room = settings.HEADERS_MAX  # bytes that may still come outside of bodies
        self._in_head = self._in_body = False
        self._unparsed = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        if connections.make_room(len(self.connections)):
            connections.add_waiting(self)
            self._set_timer(HEAD_SECONDS)
        elif connections.may_refuse():
            self._is_surplus = True
            connections.count_refused(1)
            busy = Busy()
            self._refuse(busy.code, to_json(failure(busy)), b"retry-after: 1\r\n")
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unparsed = b""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def _parse(self) -> None:
        """Parse the input in pieces no larger than the room that is left, so that no more accumulates.

        Stop while ``PIPELINED_MAX`` requests wait for their answers; continue when one is answered.
        """
        data, start = self._unparsed, 0
        while start < len(data) and len(self.pipeline) < PIPELINED_MAX:
            if self._closing or self.transport.is_closing():
                start = len(data)
                break
            end = start + min(self._room, PIECE_PARSED)
            again = self._feed(data[start:end])
            data, start = (again + data[end:], 0) if again else (data, end)
        self._unparsed = data[start:]
        self._hold_reading(bool(self._unparsed))

    def _feed(self, piece: bytes) -> bytes:
        """Parse the piece. Returns bytes that the parser must read again."""
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:  # the parser stops, although the request continues
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does; such data is dropped
            self._room = settings.HEADERS_MAX
            return head + piece[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not self._closing:
                self._refuse_with(error.__context__ if isinstance(error.__context__, Refusal) else malformed())
            return b""
        self._room -= len(piece)
        if self._room <= 0:
            self._refuse_with(too_large())
        elif self._timer is None and not self._closing:
            if self._in_body:
                self._set_timer(REQUEST_SECONDS)
            elif self._in_head or not self._is_serving():
                self._set_timer(HEAD_SECONDS)  # the next request of an idle connection
        return b""

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Remove white space after a value, which is not part of it (RFC 9110, section 5.5)."""
        if not self._in_head:
            return  # a trailer
        if len(self.headers) >= HEADERS_COUNT_MAX:
            raise too_many()
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.cycle is not None and self.cycle.is_last:  # the answer said that the connection closes
            self._closing = True
            raise malformed()
        check_head(self.parser.get_method(), self.parser.get_http_version(), self.url, self.headers)
        if self.parser.should_upgrade():
            return  # the parser reads the head again, without the upgrade
        self._in_body = True
        self._room = settings.HEADERS_MAX
        self._set_timer(None)
        super().on_headers_complete()
        if health.is_draining():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        # Twice: once for the body itself, once for the framing of its chunks. That may be HEADERS_MAX bytes longer.
        self._room = min(self._room + 2 * len(body), settings.HEADERS_MAX)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_body = False
        self._room = settings.HEADERS_MAX + PIECE_PARSED  # the rest of the piece may belong to the next head
        self._set_timer(None)
        super().on_message_complete()
        self._note_turn()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        assert isinstance(cycle, Cycle)
        self._answering = cycle
        super()._start_asgi_task(cycle, app)
        if not cycle.more_body:
            self._note_turn()

    def on_response_complete(self) -> None:
        cycle = self._answering
        if cycle is not None and cycle.is_last:
            self.pipeline.clear()  # the client sent these before it read connection: close
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if not self._is_serving() and (self._closing or (cycle is not None and cycle.is_last)):
            self._close_later()
            return
        self._note_turn()
        self._parse()  # the body of the next pipelined request may be unparsed

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's always closes
        """Keep the connection open for the answers: a client that has sent everything may still read."""
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()  # the incomplete request
        elif not self._is_serving() or self.cycle.more_body:
            return False  # which closes
        self._closing = True
        return True
