"""The answer of a tool, put into the SDK's message after the SDK has made it.

An answer is in a message twice, as text and as structured content, and the SDK would copy, check and encode it several
times over (docs/performance.md). It is given a result of the same shape with a slot for each, and the answer, encoded
once, is written into the slots. Their names are random for each process, so nothing that a caller sends can be one.
"""

import secrets

import orjson
from starlette.types import Message

TEXT = f"text-{secrets.token_hex(16)}"  # as the text of the result
DATA = {f"data-{secrets.token_hex(16)}": 0}  # as its structured content
_TEXT_SLOT, _DATA_SLOT = orjson.dumps(TEXT), orjson.dumps(DATA)


def fill(start: Message, body: Message, answer: bytes) -> tuple[Message, Message]:
    """The two ASGI messages of a response with the answer, a JSON object, in both of its slots."""
    filled = body["body"].replace(_TEXT_SLOT, orjson.dumps(answer.decode()), 1).replace(_DATA_SLOT, answer, 1)
    assert _DATA_SLOT not in filled and _TEXT_SLOT not in filled
    headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
    length = (b"content-length", str(len(filled)).encode())
    return {**start, "headers": [*headers, length]}, {**body, "body": filled}
