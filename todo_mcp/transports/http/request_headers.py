"""The headers of a request: where it goes, who sends it, and which of its headers are refused."""

import ipaddress
import re
from collections.abc import Iterable

from django.conf import settings
from django.http.request import MediaType, split_domain_port, validate_host
from django.utils.http import parse_header_parameters
from starlette.types import Scope

from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.transports.http.paths import canonical_path, takes_calls
from todo_mcp.transports.http.request_body import HEADER_MISMATCH, Refused

Headers = Iterable[tuple[bytes, bytes]]  # as ASGI gives them, with names in lower case

UNKNOWN_HOST = (
    "This server does not answer for that Host. Its operator can set PUBLIC_URL to the address that clients use, "
    "or add the host to ALLOWED_HOSTS."
)
PROBES = frozenset({"/readyz", "/metrics"})  # probes may use an IP address, or a name in PROBE_HOSTS
MEDIA_TYPES_MAX = 2048  # bytes of all Accept and Content-Type headers
_MEDIA_TYPES = frozenset({b"content-type", b"accept"})
_EXTENDED_PARAMETER = re.compile(rb"\*\d*[ \t]*=")  # RFC 2231; no client needs one here
_SPACE = " \t"  # HTTP's white space, not Unicode's
# An empty type means no header. The last type is what curl sends for --data.
_JSON_TYPES = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
_HAS_ONE_VALUE = frozenset({b"accept", b"content-type", b"last-event-id"})  # and all that begin with mcp-
_MAY_HAVE_COMMAS = (b"accept", b"mcp-param-")  # a list; a copy of an argument, which is text
_LISTED = re.compile(rb'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')  # a comma in a quoted text separates nothing


class RequestHeaders:
    """The raw headers. ASGI gives their names in lower case."""

    def __init__(self, raw: Headers) -> None:
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
        """The token of the Authorization header (RFC 6750, section 2.1); never from the body or the query.

        Raises:
            Unauthenticated: there is no token.
        """
        scheme, _, token = self.one(b"authorization").strip(_SPACE).partition(" ")
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
                if length > MEDIA_TYPES_MAX or _is_hard_to_parse(value):
                    raise Refused(400, "Accept or Content-Type is too long, or has a parameter that is not supported.")


def _is_hard_to_parse(media_types: bytes) -> bool:
    return len(media_types) > MEDIA_TYPES_MAX or (
        b"*" in media_types and _EXTENDED_PARAMETER.search(media_types) is not None
    )


def prefers_page(accept: str) -> bool:
    """Whether this header ``Accept`` prefers HTML to JSON (RFC 9110, section 12.5.1), as a browser's does.

    A program gets JSON: it has no header, or one that takes both alike, such as curl's ``*/*``.
    """
    if _is_hard_to_parse(accept.encode("latin-1", "replace")):  # a request that is refused before this is checked
        return False
    ranges = [MediaType(item) for item in accept.split(",")]
    return _preference(ranges, MediaType("text/html")) > _preference(ranges, MediaType("application/json"))


def _preference(ranges: list[MediaType], media_type: MediaType) -> tuple[float, int]:
    """Quality and specificity of the range that applies: the most specific one. (0, 0) if none does."""
    # The stubs of `match` know only text.
    fitting = [(item.specificity, item.quality) for item in ranges if media_type.match(item)]  # type: ignore[arg-type]
    specificity, quality = max(fitting, default=(0, 0.0))
    return quality, specificity if quality else 0


def check_sender(scope: Scope, headers: RequestHeaders) -> None:
    """Check path, Host and Origin, against DNS rebinding and foreign pages. Refuse contradictory headers.

    The scope gets the canonical path, and one header in place of equal copies.

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
    if len(headers.all(b"authorization")) > 1:
        raise Refused(400, "There is more than one Authorization header.")
    scope["headers"] = merge_copies(scope["headers"])
    hosts = headers.all(b"host")
    if not hosts and path in PROBES:  # some load balancers speak HTTP/1.0; a browser always sends a Host
        return
    if len(hosts) != 1:
        raise Refused(400, "The request must have one Host header.")  # RFC 9112, section 3.2
    domain, _port = split_domain_port(hosts[0])
    if not domain or not (validate_host(domain, settings.ALLOWED_HOSTS) or (path in PROBES and _may_probe(domain))):
        raise Refused(421, UNKNOWN_HOST)
    origin = headers.one(b"origin")
    if origin and takes_calls(path) and not (_is_own(origin, hosts[0]) or origin in settings.BROWSER_ORIGINS):
        raise Refused(403, "Pages of that Origin may not call. The operator can add it to BROWSER_ORIGINS.")


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


def merge_copies(raw: Headers) -> Headers:
    """The headers, with one in place of equal copies of Accept, Content-Type and the headers of MCP.

    A setting or a proxy may add a copy of a header that the client sends, on another line or after a comma. Accept is a
    list, so its copies are lines.

    Raises:
        Refused: the copies differ.
    """
    names = set()
    for name, value in raw:
        if name.startswith(b"mcp-") or name in _HAS_ONE_VALUE:
            if name in names or (b"," in value and not name.startswith(_MAY_HAVE_COMMAS)):
                return _merged(raw)
            names.add(name)
    return raw


def _merged(raw: Headers) -> Headers:
    values: dict[bytes, list[bytes]] = {}
    for name, value in raw:
        if name.startswith(b"mcp-") or name in _HAS_ONE_VALUE:
            values.setdefault(name, []).append(value)
    merged = [(name, _value_of(name, lines)) for name, lines in values.items()]
    return [pair for pair in raw if pair[0] not in values] + merged


def _value_of(name: bytes, lines: list[bytes]) -> bytes:
    """The one value of a header that was sent in these lines."""
    is_whole = name.startswith(_MAY_HAVE_COMMAS)
    listed = lines if is_whole else [value for line in lines for value in _LISTED.findall(line)]
    copies = [stripped for value in listed if (stripped := value.strip(b" \t"))] or [b""]
    kinds = [_kind(name, copy) for copy in copies]
    if any(kind != kinds[0] for kind in kinds):
        reason = f"The header {name.decode('latin-1')} has different values. Send it once."
        raise Refused(400, reason, code=HEADER_MISMATCH)
    return copies[0]


def _kind(name: bytes, value: bytes) -> object:
    """What a value means: values that mean the same are equal."""
    if name == b"content-type":
        return _media_type(value)
    if name == b"accept":
        return frozenset(value.lower().translate(None, b" \t").split(b",")) - {b""}
    return value


def _media_type(value: bytes) -> tuple[str, dict[str, str]]:
    """Type and parameters, equal for equal media types (RFC 9110, section 8.3.1)."""
    name, parameters = parse_header_parameters(value.decode("latin-1"))
    return name, {key: text.lower() if key == "charset" else text for key, text in parameters.items()}


def may_hold_json(raw: Headers) -> bool:
    """Whether Content-Type allows a JSON body: it says JSON, or what clients send without being told."""
    for name, value in raw:
        if name == b"content-type":
            return value.decode("latin-1").partition(";")[0].strip(_SPACE).lower() in _JSON_TYPES
    return True
