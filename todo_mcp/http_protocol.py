"""HTTP/1.1 as uvicorn speaks it, held to two rules: every byte of a request is read as what it is, and none costs much.

A byte that is not read is never taken for the next request: where the rest of a request is unread, the connection
closes. An upgrade is ignored, and the request is served as the plain one that it also is (RFC 9110, section 7.8).
Trailers are dropped (RFC 9110, section 6.5.1).

Limits: what is no body (request line, headers, trailers, framing of chunks) comes to ``HEADERS_MAX`` bytes and
``HEADERS_COUNT_MAX`` headers a request, or the answer is 431. A request's head is complete within ``HEAD_SECONDS``, and
all of it within ``BODY_SECONDS`` more, or the connection closes; also if nothing of an answer is read for
``UNREAD_SECONDS``.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import httptools
from django.conf import settings
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from todo_mcp import lifecycle
from todo_mcp.core.envelope import failure, to_json
from todo_mcp.core.errors import Busy

HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0  # 4 MiB at 0.6 Mbit/s
UNREAD_SECONDS = 30.0  # in which a client reads PIECE_SENT bytes of an answer
LAST_REQUEST_SECONDS = 0.3  # an idle connection is kept this long at shutdown: a request may be under way
REFUSAL_SECONDS = 1.0  # in which a refused client can read why; closing at once could destroy the answer
HEADERS_COUNT_MAX = 128
PIPELINED_MAX = 8  # requests that wait for the answer to an earlier one; further ones are not parsed yet
PIECE_PARSED = 2048  # bytes; the parser does not stop within a piece, so it may hold some hundred short requests
PIECE_SENT = 65_536  # bytes
REFUSALS_MAX = 32  # connections at once that are told that there are too many
SAFE_HEADERS = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"


class _Refusal(Exception):
    """Raised in a callback of the parser: the request, and all that follows, is not served."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


TOO_LARGE = _Refusal(431, "The request's headers are too large; send no more than 16 KiB.")
TOO_MANY = _Refusal(431, f"The request has too many headers; send no more than {HEADERS_COUNT_MAX}.")
MALFORMED = _Refusal(400, "The request is not well-formed HTTP/1.1.")


class Flow(FlowControl):
    """Reading stays paused while requests wait that have not been parsed."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class Cycle(RequestResponseCycle):
    """One request and its answer. The connection ends with an answer that came before the body was read."""

    is_last = False

    async def send(self, message: Any) -> None:
        if self.transport.is_closing():
            self.disconnected = True  # uvicorn tells the latest of pipelined requests alone
        if message["type"] == "http.response.start":
            self.keep_alive = self.keep_alive and not self.more_body
            await super().send(message)
            # It has said "connection: close". The protocol closes, when the client has had time to read.
            self.is_last, self.keep_alive = not self.keep_alive, True
            return
        body = message.get("body", b"")
        if len(body) > PIECE_SENT:  # so that a slow client shows that it reads
            for start in range(0, len(body) - PIECE_SENT, PIECE_SENT):
                piece: Any = {**message, "body": body[start : start + PIECE_SENT], "more_body": True}
                await super().send(piece)
            message = {**message, "body": body[start + PIECE_SENT :]}
        await super().send(message)


httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]  # uvicorn has no other way to give it ours


class Connections:
    """The connections of this process whose client we wait for, the longest wait first.

    ``limit`` leaves file descriptors for the database, logs and everything else.
    """

    def __init__(self) -> None:
        self.limit = 1 << 20
        self._waiting: dict[HttpProtocol, None] = {}
        self._refused = 0

    def wait_for(self, connection: "HttpProtocol") -> None:
        """It is this client's turn: to send, or to read."""
        self._waiting[connection] = None

    def serve(self, connection: "HttpProtocol") -> None:
        """It is our turn; or the connection is gone."""
        self._waiting.pop(connection, None)

    def make_room(self, count: int) -> bool:
        """Whether one more than ``count`` connections can stay: close the one that waits longest if need be."""
        if count <= self.limit:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self.serve(longest)
        longest.transport.abort()
        return True

    def may_refuse(self) -> bool:
        """Whether another refused client may have a moment to read why."""
        return self._refused < REFUSALS_MAX

    def count_refused(self, change: int) -> None:
        self._refused += change


connections = Connections()


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    flow: Flow
    cycle: Cycle

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._room = settings.HEADERS_MAX  # bytes that may come until the parser has something complete
        self._has_progressed = False
        self._in_head = False
        self._closing = False  # what still comes is dropped; the connection closes after the requests that are whole
        self._answering: Cycle | None = None
        self._is_surplus = False
        self._unparsed = b""
        self._unread_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        if connections.make_room(len(self.connections)):
            connections.wait_for(self)
            self._set_timer(HEAD_SECONDS)
        elif connections.may_refuse():
            self._is_surplus = True
            connections.count_refused(1)
            busy = Busy()
            self._refuse(busy.code, to_json(failure(busy)), "application/json", b"retry-after: 1\r\n")
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        connections.serve(self)
        if self._is_surplus:
            connections.count_refused(-1)
        self._unparsed = b""
        self._set_timer(None)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def _parse(self) -> None:
        """Parse what has come, in pieces no larger than the room that is left, so that no more ever accumulates.

        It stops where enough requests wait for their answers, and goes on when one has been answered.
        """
        data, self._unparsed = self._unparsed, b""
        while data and not self._closing and not self.transport.is_closing():
            if len(self.pipeline) >= PIPELINED_MAX:
                self._unparsed = data
                break
            size = min(self._room, PIECE_PARSED)
            data = self._feed(data[:size]) + data[size:]
        self._hold(bool(self._unparsed))

    def _hold(self, held: bool) -> None:
        if held:
            self.flow.pause_reading()
        self.flow.held = held

    def _feed(self, piece: bytes) -> bytes:
        """Let the parser read the piece; what it must read once more is returned."""
        self._has_progressed = False
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:  # it stops there, although the request goes on
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self._room = settings.HEADERS_MAX
            return head + piece[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not self._closing:
                self._refuse_with(error.__context__ if isinstance(error.__context__, _Refusal) else MALFORMED)
            return b""
        if self._has_progressed:
            self._room = settings.HEADERS_MAX
        else:
            self._room -= len(piece)
            if self._timer is None:  # the next request on a connection that was idle
                self._set_timer(HEAD_SECONDS)
        if self._room == 0:
            self._refuse_with(TOO_LARGE)
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
        """The parser keeps blanks after a value, which are no part of it (RFC 9110, section 5.5)."""
        if not self._in_head:
            return  # a trailer: nothing that we act on may come after the body
        if len(self.headers) >= HEADERS_COUNT_MAX:
            raise TOO_MANY
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.cycle is not None and self.cycle.is_last:  # the client has been told that the connection closes
            self._closing = True
            raise MALFORMED
        self._check_head()
        if self.parser.should_upgrade():
            return  # the parser reads it once more, without that
        self._has_progressed = True
        self._set_timer(BODY_SECONDS)
        super().on_headers_complete()
        if lifecycle.is_draining():
            self.cycle.keep_alive = False

    def _check_head(self) -> None:
        """Refuse what proxies and servers are known to read in different ways."""
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refusal(505, "This server speaks HTTP/1.1.")
        if self.parser.get_method() == b"CONNECT":
            raise _Refusal(501, "This server is no proxy.")
        names = [name for name, _ in self.headers]
        if names.count(b"host") != 1 and (b"host" in names or self.parser.get_http_version() == "1.1"):
            raise _Refusal(400, "The request must have one Host header.")  # RFC 9112, section 3.2
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and self.parser.get_http_version() == "1.0":
            raise MALFORMED  # RFC 9112, section 6.1
        if codings and codings[0].lower() != b"chunked":
            raise _Refusal(501, "The only transfer coding of requests that is understood is chunked.")
        if not self.url.startswith(b"/") or b"#" in self.url:
            self._check_target()

    def _check_target(self) -> None:
        """An absolute target (RFC 9112, section 3.2.2) names the host that the header names too."""
        scheme, _, rest = self.url.partition(b"://")
        authority, slash, _ = rest.partition(b"/")
        hosts = [value.lower() for name, value in self.headers if name == b"host"]
        is_absolute = scheme.lower() in (b"http", b"https") and slash and hosts == [authority.lower()]
        if b"#" in self.url or not (is_absolute or self.url == b"*"):
            raise _Refusal(400, "The request's target must be a path.")

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._has_progressed = True
        self._set_timer(None)
        connections.serve(self)
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        assert isinstance(cycle, Cycle)
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        ended = self._answering
        if ended is not None and ended.is_last:
            self.pipeline.clear()  # parsed before the client was told
        super().on_response_complete()
        if self.transport.is_closing() or self._is_serving():  # the next of pipelined requests
            return
        if self._closing or (ended is not None and ended.is_last):
            self._close_later()
        else:
            connections.wait_for(self)
            self._parse()

    def pause_writing(self) -> None:
        connections.wait_for(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        if self._is_serving():
            connections.serve(self)
        super().resume_writing()

    def abort_if_unread(self, now: float) -> None:
        """Close the connection of a client that has read nothing for too long; called every few seconds."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since >= UNREAD_SECONDS:
            self.transport.abort()

    def shutdown(self) -> None:
        """Finish the request that is being served; wait a moment for one that is under way."""
        if self._is_serving():
            super().shutdown()
        else:
            self.loop.call_later(LAST_REQUEST_SECONDS, super().shutdown)

    def _is_serving(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._on_timeout)

    def _on_timeout(self) -> None:
        if self.flow.read_paused:  # it is we who are slow
            self._set_timer(HEAD_SECONDS)
        else:
            self.transport.close()

    def _refuse_with(self, refusal: _Refusal) -> None:
        self._refuse(refusal.status, f"{refusal.text}\n".encode())

    def _refuse(
        self, status: int, text: bytes, media_type: str = "text/plain; charset=utf-8", headers: bytes = b""
    ) -> None:
        """Answer and close. Where earlier requests are still being answered, say nothing, and close after them."""
        is_broken = self.cycle is not None and self.cycle.more_body  # the request that is being read
        if is_broken and self.pipeline:
            self.pipeline.popleft()
        elif is_broken and self._is_serving():
            if self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = self.cycle.response_complete = True  # its own answer comes too late
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        self._closing = True
        self._set_timer(None)
        if not self._is_serving():
            length = b"content-type: %b\r\ncontent-length: %d\r\n\r\n" % (media_type.encode(), len(text))
            self.transport.write(b"".join([STATUS_LINE[status], headers, SAFE_HEADERS, length, text]))
            self._close_later()

    def _close_later(self) -> None:
        """Close, but read (and drop) what the client is still sending for a moment."""
        self._closing = True
        self._unset_keepalive_if_required()
        self._set_timer(None)
        self._hold(False)
        self.flow.resume_reading()
        self.transport.write_eof()
        self.loop.call_later(REFUSAL_SECONDS, self.transport.close)


def abort_unread(open_connections: Iterable[Any]) -> None:
    """Close the connections whose clients do not read."""
    now = time.monotonic()
    for connection in list(open_connections):
        if isinstance(connection, HttpProtocol):
            connection.abort_if_unread(now)
