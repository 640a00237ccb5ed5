"""Calls of tools that differ only in id, arguments and result: the SDK sees the first, a frame answers the others.

The SDK reads the shape of a call (headers of MCP, method, name, ``_meta``) and wraps the tool's result in a message.
Neither depends on the id, the arguments or the result. So the SDK gets slots in place of id and result. Its response,
cut at the slots, is the frame of every call of that shape. A shape that the SDK refuses has no frame; it goes to the
SDK each time.

The slots' names are random for each process, so nothing that a caller sends can be mistaken for one.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import mcp_types as types
import orjson
from starlette.types import Message, Receive, Scope, Send

ID = f"id-{secrets.token_hex(16)}"  # the slot for the request's id
TEXT = f"text-{secrets.token_hex(16)}"  # the slot for the text of the result
DATA = {f"data-{secrets.token_hex(16)}": 0}  # the slot for its structured content
_SLOTS = _ID, _TEXT, _DATA = orjson.dumps(ID), orjson.dumps(TEXT), orjson.dumps(DATA)
_CUT = re.compile(b"(" + b"|".join(re.escape(slot) for slot in _SLOTS) + b")")
_QUOTED = tuple(slot.strip(b'{"')[:10] for slot in _SLOTS)  # a long quotation may be cut

SHAPE_MAX = 4096  # bytes; larger shapes are not remembered
SHAPES_MAX = 256
SESSION_ID = b"mcp-session-id"  # new for each connection; the SDK's server has no sessions and does not read it
_META = "io.modelcontextprotocol/"  # the SDK reads the keys of _meta that begin with this, and the progress token


class CallShape(NamedTuple):
    """What the SDK reads of a tool call: MCP's headers, and the message with a slot for its id, without arguments."""

    headers: tuple[tuple[bytes, bytes], ...]
    message: bytes

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]], message: Mapping[str, Any]) -> "CallShape | None":
        """The shape of a tools/call message; None if the SDK must see the call itself.

        The tool checks the arguments. Keys that clients add to ``_meta`` for themselves are left out: they are often
        new for each call.
        """
        params = message["params"]
        if not isinstance(params.get("arguments", {}), dict):
            return None
        shape_params = {**params, "arguments": {}}
        if isinstance(params.get("_meta"), dict):
            shape_params["_meta"] = {key: value for key, value in params["_meta"].items() if _is_read(key, value)}
        try:
            body = orjson.dumps({**message, "id": ID, "params": shape_params})
        except TypeError:  # a lone surrogate, or an integer past 64 bits
            return None
        if b"null" in body:  # or a number past the greatest float, which orjson writes as null
            return None
        read = tuple([pair for pair in headers if pair[0].startswith(b"mcp-") and pair[0] != SESSION_ID])
        size = len(body) + sum([len(name) + len(value) for name, value in read])
        return cls(read, body) if size <= SHAPE_MAX else None


def _is_read(key: str, value: Any) -> bool:
    """Whether the SDK reads this key of ``_meta``.

    This server sends no progress, so of a progress token only its validity matters.
    """
    return key.startswith(_META) or (key == "progressToken" and type(value) not in (int, str))


def result_with_slots(*, is_error: bool) -> types.CallToolResult:
    """The result that the tool's handler returns to the SDK in place of the real one."""
    text = types.TextContent(type="text", text=TEXT)
    return types.CallToolResult(content=[text], structured_content=DATA, is_error=is_error)


@dataclass(frozen=True)
class Response:
    """The two ASGI messages of a response; itself an ASGI application that sends them."""

    start: Message
    body: Message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(self.start)
        await send(self.body)


@dataclass(frozen=True)
class Frame:
    """The SDK's response, cut at its slots."""

    start: Message
    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, start: Message, body: bytes) -> "Frame":
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        return cls({**start, "headers": headers}, tuple(_CUT.split(body)))

    def is_whole(self) -> bool:
        """Whether it has one slot for each of id, text and data. A result has them; an error does not."""
        return sorted(self.pieces[1::2]) == sorted(_SLOTS)

    def quotes_slots(self) -> bool:
        """Whether a slot is inside other text, such as an error message that quotes the call."""
        return any(quoted in piece for piece in self.pieces[::2] for quoted in _QUOTED)

    def fill(self, rpc_id: str | int | None, answer: bytes = b"") -> Response:
        """The response with id and answer in its slots, if it has any; ``answer`` is a JSON object."""
        values = {_ID: _json(rpc_id), _DATA: answer, _TEXT: orjson.dumps(answer.decode())}
        body = b"".join([values.get(piece, piece) for piece in self.pieces])
        headers = [*self.start["headers"], (b"content-length", b"%d" % len(body))]
        return Response({**self.start, "headers": headers}, {"type": "http.response.body", "body": body})


def _json(rpc_id: str | int | None) -> bytes:
    return json.dumps(rpc_id).encode()  # an integer may be past 64 bits


class Sender(NamedTuple):
    """What the SDK reports about a call's sender. ``client`` is empty if the message does not name it."""

    revision: str
    client: str


@dataclass(frozen=True)
class KnownShape:
    """A shape that the SDK has accepted: its sender, and a frame for each value of ``isError`` that occurred."""

    sender: Sender
    frames: dict[bool, Frame] = field(default_factory=dict)


class KnownShapes:
    """The shapes that a worker remembers; the one not used for longest is forgotten first."""

    def __init__(self) -> None:
        self._shapes: dict[CallShape, KnownShape] = {}

    def get(self, shape: CallShape) -> KnownShape | None:
        known_shape = self._shapes.pop(shape, None)
        if known_shape:
            self._shapes[shape] = known_shape
        return known_shape

    def add(self, shape: CallShape, sender: Sender, *, is_error: bool, frame: Frame) -> None:
        self._shapes.setdefault(shape, KnownShape(sender)).frames[is_error] = frame
        if len(self._shapes) > SHAPES_MAX:
            del self._shapes[next(iter(self._shapes))]
