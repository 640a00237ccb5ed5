"""What the SDK makes of a tool call, but for what is different in each: asked once, remembered, and filled in.

The SDK reads a call's envelope (headers, method, name, ``_meta``) and wraps the tool's result in a message. Neither
depends on the id, the arguments or the result, and but for those a client's calls are alike. So the SDK is asked
with slots in place of an id and a result; its answer is the frame of all calls with that envelope. An envelope that the
SDK has not accepted has no frame, and goes to the SDK each time.

The slots' names are random for each process, so nothing that a caller sends can be one.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Message

ID = f"id-{secrets.token_hex(16)}"  # as the request's id
TEXT = f"text-{secrets.token_hex(16)}"  # as the text of the result
DATA = {f"data-{secrets.token_hex(16)}": 0}  # as its structured content
_SLOTS = _ID, _TEXT, _DATA = orjson.dumps(ID), orjson.dumps(TEXT), orjson.dumps(DATA)
_CUT = re.compile(b"(" + b"|".join(re.escape(slot) for slot in _SLOTS) + b")")

_QUOTED = tuple(slot.strip(b'{"')[:10] for slot in _SLOTS)  # a long quotation may be cut

ENVELOPE_MAX = 4096  # bytes; larger ones are not remembered
ENVELOPES_MAX = 256
_READ = frozenset({b"accept", b"content-type", b"last-event-id"})  # headers; and all that begin with mcp-
_META = "io.modelcontextprotocol/"  # of _meta the SDK reads what begins so, and the token below

Envelope = tuple[tuple[tuple[bytes, bytes], ...], bytes]


def envelope_of(headers: Iterable[tuple[bytes, bytes]], message: Mapping[str, Any]) -> Envelope | None:
    """All of a tool call that the SDK looks at: headers, and the call as the SDK is shown it.

    That is with a slot for the id, without the arguments, which the tool checks, and without what clients add to _meta
    for themselves, often new for each call. None where the SDK must see the call itself.
    """
    params = message["params"]
    if not isinstance(params.get("arguments", {}), dict):
        return None
    shown = {**params, "arguments": {}}
    if isinstance(params.get("_meta"), dict):
        shown["_meta"] = {key: value for key, value in params["_meta"].items() if _is_read(key, value)}
    try:
        body = orjson.dumps({**message, "id": ID, "params": shown})
    except TypeError:  # a lone surrogate, or an integer past 64 bits
        return None
    if b"null" in body:  # or a number past the greatest float, which orjson writes so
        return None
    read = tuple([pair for pair in headers if pair[0] in _READ or pair[0].startswith(b"mcp-")])
    size = len(body) + sum([len(name) + len(value) for name, value in read])
    return (read, body) if size <= ENVELOPE_MAX else None


def _is_read(key: str, value: Any) -> bool:
    """Whether the SDK looks at it. We send no progress, so a token for that is nothing but well-formed or not."""
    return key.startswith(_META) or (key == "progressToken" and type(value) not in (int, str))


@dataclass(frozen=True)
class Frame:
    """The SDK's response, cut at its slots."""

    start: Message
    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, start: Message, body: Message) -> "Frame":
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        return cls({**start, "headers": headers}, tuple(_CUT.split(body["body"])))

    def is_whole(self) -> bool:
        """Whether an id and an answer have each their place in it: a result, not an error."""
        return sorted(self.pieces[1::2]) == sorted(_SLOTS)

    def quotes_slots(self) -> bool:
        """Whether a slot stands within other words, such as those of an error that quotes the call."""
        return any(quoted in piece for piece in self.pieces[::2] for quoted in _QUOTED)

    def fill(self, rpc_id: str | int, answer: bytes = b"") -> tuple[Message, Message]:
        """The two ASGI messages of the response; the answer is a JSON object."""
        values = {_ID: _json(rpc_id), _DATA: answer, _TEXT: orjson.dumps(answer.decode())}
        body = b"".join([values.get(piece, piece) for piece in self.pieces])
        headers = [*self.start["headers"], (b"content-length", b"%d" % len(body))]
        return {**self.start, "headers": headers}, {"type": "http.response.body", "body": body}


def _json(rpc_id: str | int) -> bytes:
    return json.dumps(rpc_id).encode()  # an integer may be past 64 bits


@dataclass
class Known:
    """What is known of an envelope that the SDK has accepted.

    ``client`` is what the envelope says of its sender, empty where it says nothing; ``frames`` has one for each value
    of the result's ``isError`` that has been there.
    """

    revision: str
    client: str
    frames: dict[bool, Frame] = field(default_factory=dict)


class Frames:
    """The envelopes that were seen; the one not seen for longest is forgotten first."""

    def __init__(self) -> None:
        self._known: dict[Envelope, Known] = {}

    def get(self, envelope: Envelope) -> Known | None:
        known = self._known.pop(envelope, None)
        if known:
            self._known[envelope] = known
        return known

    def add(self, envelope: Envelope, known: Known) -> None:
        self._known[envelope] = known
        if len(self._known) > ENVELOPES_MAX:
            del self._known[next(iter(self._known))]
