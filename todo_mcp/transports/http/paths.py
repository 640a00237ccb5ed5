"""The one spelling of each path, so that a proxy's rules match the same paths, and the kinds of requests by path."""

import re
from functools import lru_cache
from urllib.parse import quote, unquote

from starlette.types import Scope

# The path of RFC 3986, section 3.3, without ";". No segment is empty, "." or "..".
_SEGMENTS = re.compile(rb"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9\-._~!$&'()*+,=:@]++|%[0-9A-Fa-f]{2})++)*+/?")
_PROGRAMS = ("/scim/", "/static/", "/healthz", "/readyz", "/metrics")
CACHED_MAX = 256  # bytes; longer paths are not cached
_REFS = re.compile(r"(^/api/conversations|/messages)/(?![0-9]+(?:/|$))[^/]+")
_ESCAPE = re.compile(r"%(..)")
_SEPARATOR = re.compile(r"%(2F|3B|5C)", re.IGNORECASE)  # / ; or \ to some programs
_FOR_OAUTH_CLIENTS = frozenset({"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/register"})
# An escape of these is refused: most need none (RFC 3986, section 2.3); some programs take / \ and ; for separators.
_NEVER_ESCAPED = frozenset(rb"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/\;")


def canonical_path(scope: Scope) -> str | None:
    """The path of a request without a slash at its end; None if it is not in its canonical spelling.

    Below ``/admin`` the slash stays, because Django's pages there have one.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe="/~!$&'()*+,;=:@").encode()
    return _cached(raw) if len(raw) <= CACHED_MAX else _read(raw)


def _read(raw: bytes) -> str | None:
    if not raw or not _SEGMENTS.fullmatch(raw):
        return None
    path = raw.decode("ascii")
    if "%" in path:
        if is_conversation(path):
            path = _SEPARATOR.sub(r"%25\1", path)  # stays escaped: no ref has one, and the answer says so
        if any(int(code, 16) in _NEVER_ESCAPED for code in _ESCAPE.findall(path)):
            return None
        try:
            path = unquote(path, errors="strict")
        except UnicodeDecodeError:
            return None
        if not path.isprintable():
            return None
    if len(path) > 1 and path.endswith("/") and not path.startswith("/admin/"):
        return path[:-1]
    return path


_cached = lru_cache(1024)(_read)


def is_mcp(path: str) -> bool:
    return path in ("/mcp", "/mcp/")


def speaks_rpc(path: str) -> bool:
    """Whether MCP clients read the answers at this path: the endpoint, and below it, where nothing is."""
    return path == "/mcp" or path.startswith("/mcp/")


def path_in_logs(path: str) -> str:
    """The path without the refs that callers chose, for logs."""
    return _REFS.sub(r"\1/{ref}", path) if is_conversation(path) else path


def is_conversation(path: str) -> bool:
    return path == "/api/conversations" or path.startswith("/api/conversations/")


def speaks_oauth(path: str) -> bool:
    """Whether OAuth clients read the answers at this path. People read the other pages below ``/oauth``."""
    return path in _FOR_OAUTH_CLIENTS or path.startswith(("/oauth/register/", "/.well-known/"))


def is_for_programs(path: str) -> bool:
    """Whether only programs read the answers at this path, so that a refusal is never a page for people."""
    return is_rest(path) or speaks_oauth(path) or speaks_rpc(path) or path.startswith(_PROGRAMS)


def is_rest(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")


def takes_calls(path: str) -> bool:
    """Whether the path accepts calls of operations, over any transport."""
    if is_mcp(path) or is_conversation(path):
        return True
    return path in ("/api/tools", "/api/due") or path.startswith("/api/tools/")
