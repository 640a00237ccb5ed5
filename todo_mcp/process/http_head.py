"""Request heads that the parser accepts and this server refuses, because proxies and servers read them differently."""

from collections.abc import Sequence

HEADERS_COUNT_MAX = 128


class Refusal(Exception):
    """The request and everything after it on its connection are refused. Callbacks of the parser raise it too."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def too_large() -> Refusal:
    """A new exception each time: one that is raised again collects the traceback of every raise."""
    return Refusal(431, "The request's headers are too large; send no more than 16 KiB.")


def too_many() -> Refusal:
    return Refusal(431, f"The request has too many headers; send no more than {HEADERS_COUNT_MAX}.")


def malformed() -> Refusal:
    return Refusal(400, "The request is not well-formed HTTP/1.1.")


def check_head(method: bytes, version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse ambiguous heads. The names of headers are in lower case.

    Raises:
        Refusal: the reason, with its HTTP status.
    """
    if version not in ("1.1", "1.0"):
        raise Refusal(505, "This server speaks HTTP/1.1.")
    if method == b"CONNECT":
        raise Refusal(501, "This server is no proxy.")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise Refusal(400, "The request must have one Host header.")  # RFC 9112, section 3.2
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise malformed()  # RFC 9112, section 6.1
    if codings and codings[0].lower() != b"chunked":
        raise Refusal(501, "The only transfer coding that this server accepts is chunked.")
    if b"#" in target or not (target.startswith(b"/") or target == b"*" or _is_own(target, hosts)):
        raise Refusal(400, "The request's target must be a path.")


def _is_own(target: bytes, hosts: list[bytes]) -> bool:
    """Whether the target is absolute (RFC 9112, section 3.2.2) and names the host of the Host header."""
    scheme, _, rest = target.partition(b"://")
    authority, slash, _ = rest.partition(b"/")
    return scheme.lower() in (b"http", b"https") and bool(slash) and [authority.lower()] == [h.lower() for h in hosts]
