"""What the SDK makes of a tool call, but for what is different in each: asked once, remembered, and filled in.

The SDK reads a call's envelope (headers, method, name, ``_meta``) and wraps the tool's result in a message. Neither
depends on the id, the arguments or the result, and clients send the same envelope with every call. So the SDK is asked
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

ENVELOPE_MAX = 4096  # bytes; larger ones are not remembered
ENVELOPES_MAX = 256
# Of _meta: different in each call, and read by nobody here. We send no progress, and where traces are wanted nothing is
# remembered.
_PASSING: dict[str, Any] = {"progressToken": (int, str), "traceparent": str, "tracestate": str, "baggage": str}
_READ = frozenset({b"accept", b"content-type", b"last-event-id"})  # headers; and all that begin with mcp-

Envelope = tuple[tuple[tuple[bytes, bytes], ...], bytes]


def envelope_of(headers: Iterable[tuple[bytes, bytes]], message: Mapping[str, Any]) -> Envelope | None:
    """All of a tool call that the SDK looks at; None where it must see the call itself."""
    params = message["params"]
    if not isinstance(params.get("arguments", {}), dict):
        return None
    kept = {**params, "arguments": 0}
    meta = params.get("_meta")
    if isinstance(meta, dict) and not _PASSING.keys().isdisjoint(meta):
        kept["_meta"] = {key: value for key, value in meta.items() if not isinstance(value, _PASSING.get(key, ()))}
    try:
        body = orjson.dumps({**message, "id": 0, "params": kept})
    except TypeError:  # a lone surrogate, or an integer past 64 bits
        return None
    read = tuple([pair for pair in headers if pair[0] in _READ or pair[0].startswith(b"mcp-")])
    return (read, body) if len(body) <= ENVELOPE_MAX else None


def without_id(message: Mapping[str, Any]) -> bytes:
    """The call as the SDK is shown it: with a slot for the id, and none of its arguments, which the tool checks."""
    return orjson.dumps({**message, "id": ID, "params": {**message["params"], "arguments": {}}})


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
    """The envelopes that were seen; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._known: dict[Envelope, Known] = {}

    def get(self, envelope: Envelope) -> Known | None:
        return self._known.get(envelope)

    def add(self, envelope: Envelope, known: Known) -> None:
        while len(self._known) >= ENVELOPES_MAX:
            del self._known[next(iter(self._known))]
        self._known[envelope] = known
