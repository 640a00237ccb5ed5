"""The headers of a request: where it goes, who sends it, and which of its headers are refused."""

import ipaddress
import re
from collections.abc import Iterable

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from starlette.types import Scope

from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.transports.http.paths import canonical_path, takes_calls
from todo_mcp.transports.http.request_body import Refused

PROBES = frozenset({"/readyz", "/metrics"})  # probes may use an IP address, or a name in PROBE_HOSTS
MEDIA_TYPES_MAX = 2048  # bytes of all Accept and Content-Type headers
_MEDIA_TYPES = frozenset({b"content-type", b"accept"})
_EXTENDED_PARAMETER = re.compile(rb"\*\d*[ \t]*=")  # RFC 2231; no client needs one here
_SPACE = " \t"  # HTTP's white space, not Unicode's


class RequestHeaders:
    """The raw headers. ASGI gives their names in lower case."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._raw if key == name]

    def one(self, name: bytes) -> str:
        """The first header of this name; empty if there is none."""
        return next(iter(self.all(name)), "")

    def size(self) -> int:
        """Bytes, with the colon, the space and the line end of each header."""
        return sum(len(key) + len(value) + 4 for key, value in self._raw)

    def bearer_token(self) -> str:
        """The token of the one Authorization header (RFC 6750, section 2.1); never from the body or the query.

        Raises:
            Unauthenticated: there is no token.
            Refused: there is more than one header.
        """
        values = self.all(b"authorization")
        if len(values) > 1:
            raise Refused(400, "There is more than one Authorization header.")
        scheme, _, token = (values[0] if values else "").strip(_SPACE).partition(" ")
        if not scheme:
            raise Unauthenticated(TokenRule.NO_CREDENTIALS)
        if scheme.lower() != "bearer" or not token.strip(_SPACE):
            raise Unauthenticated(TokenRule.HEADER)
        return token.strip(_SPACE)

    def check_media_types(self) -> None:
        """Raises Refused for media types that Django cannot parse, or parses in quadratic time."""
        length = 0
        for name, value in self._raw:
            if name in _MEDIA_TYPES:
                length += len(value)
                if length > MEDIA_TYPES_MAX or (b"*" in value and _EXTENDED_PARAMETER.search(value)):
                    raise Refused(400, "Accept or Content-Type is too long, or has a parameter that is not supported.")


def check_sender(scope: Scope, headers: RequestHeaders) -> None:
    """Check path, Host and Origin, against DNS rebinding and foreign pages; put the canonical path into the scope.

    Raises:
        Refused: with the HTTP status of the first check that fails.
    """
    path = canonical_path(scope)
    if path is None:
        raise Refused(404, "There is nothing at exactly this path.", "not_found")
    scope["path"] = path
    if path == "/healthz":  # its answer says nothing about the server
        return
    if headers.size() > settings.HEADERS_MAX:
        raise Refused(431, f"The headers are larger than {settings.HEADERS_MAX} bytes.")
    headers.check_media_types()
    hosts = headers.all(b"host")
    if not hosts and path in PROBES:  # some load balancers speak HTTP/1.0; a browser always sends a Host
        return
    if len(hosts) != 1:
        raise Refused(400, "The request must have one Host header.")  # RFC 9112, section 3.2
    domain, _port = split_domain_port(hosts[0])
    if not domain or not (validate_host(domain, settings.ALLOWED_HOSTS) or (path in PROBES and _may_probe(domain))):
        raise Refused(421, "This server does not answer for that Host. Its operator can add it to ALLOWED_HOSTS.")
    origin = headers.one(b"origin")
    if origin and takes_calls(path) and not _is_own(origin, hosts[0]):
        raise Refused(403, "Calls from pages of that Origin are not accepted.")


def _may_probe(domain: str) -> bool:
    """Whether a probe may use this Host: an IP address, which no foreign page can rebind, or a name in PROBE_HOSTS."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return validate_host(domain, settings.PROBE_HOSTS)
    return True


def _is_own(origin: str, host: str) -> bool:
    """Whether the Origin is PUBLIC_URL; in development also the Host of the request, which was checked before."""
    return origin == settings.PUBLIC_URL or (not settings.PRODUCTION and origin.partition("://")[2] == host)
