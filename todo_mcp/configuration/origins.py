"""The setting BROWSER_ORIGINS: the origins of pages that may call this server."""

import ipaddress
import re

from django.core.exceptions import ImproperlyConfigured

from todo_mcp.configuration.environment import items, shown, wrong

# http and https, browser extensions, and frameworks that show a page as an app.
_ORIGIN = re.compile(
    r"(?P<scheme>https?|[a-z-]+-extension|app|capacitor|ionic|tauri)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "scheme, host and port of each page, without a path or a wildcard, like https://app.example.com,http://localhost:5173"


def origins(name: str) -> tuple[str, ...]:
    """A list of origins. Each gets the form in which browsers send it (RFC 6454, section 6.2).

    Raises:
        ImproperlyConfigured: an item is not exactly one origin.
    """
    return tuple(dict.fromkeys(_normalise(name, item) for item in items(name, like=_EXAMPLE)))


def _normalise(name: str, part: str) -> str:
    match = _ORIGIN.fullmatch(part.lower())
    if match is None:
        raise _no_origin(name, part)
    scheme, host, port = match["scheme"], match["host"], int(match["port"] or _DEFAULT_PORTS.get(match["scheme"], 0))
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise _no_origin(name, part) from None
    if port > 65_535 or (match["port"] and not port):
        raise _no_origin(name, part)
    return f"{scheme}://{host}" if port in (0, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _no_origin(name: str, part: str) -> ImproperlyConfigured:
    return wrong(name, f"contains {shown(part)}, which is not an exact origin", _EXAMPLE)
