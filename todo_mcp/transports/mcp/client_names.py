"""The client's name, which reaches each call also in the revisions with a handshake.

There a client names itself only in ``initialize``. This server keeps nothing of it. Instead the answer's session id
contains the name, and the client repeats the id in each later request. So any worker knows the name, also after a
restart. The id grants nothing: each request has its token.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from todo_mcp.calls.call import CLIENT_MAX, clean_client
from todo_mcp.transports.mcp.call_shapes import SESSION_ID, Response

_MARK = b"~"  # between the random part and the name; neither contains it in this place
_NAME_MAX = 12 * CLIENT_MAX  # bytes: a character has up to 4 in UTF-8, and each becomes %xx


def with_session_id(response: Response, message: Mapping[str, Any]) -> Response:
    """The answer to ``initialize``, with a session id if the SDK has accepted the message."""
    if "result" not in json.loads(response.body["body"]):
        return response
    info = message["params"]["clientInfo"]
    header = (SESSION_ID, _session_id(clean_client(f"{info['name']} {info['version']}")))
    return Response({**response.start, "headers": [*response.start["headers"], header]}, response.body)


def client_named_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's name in the headers: in a session id of this server, or else in User-Agent."""
    named = dict(headers)
    name = unquote_to_bytes(named.get(SESSION_ID, b"").partition(_MARK)[2][:_NAME_MAX]).decode(errors="replace")
    return clean_client(name) or clean_client(named.get(b"user-agent", b"").decode("latin-1"))


def _session_id(client: str) -> bytes:
    """A new id with this name. It is unique, as the specification asks: a proxy may tell clients apart by it."""
    return secrets.token_urlsafe(16).encode() + _MARK + quote(client, safe="").encode()
