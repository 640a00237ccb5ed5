"""The setting BROWSER_ORIGINS: the origins of pages that may call this server."""

import re

from todo_mcp.configuration.addresses import is_port, normal_host, origin
from todo_mcp.configuration.environment import items, shown, wrong

# http and https, browser extensions, and frameworks that show a page as an app.
_ORIGIN = re.compile(
    r"(?P<scheme>https?|[a-z-]+-extension|app|capacitor|ionic|tauri)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?"
)
_EXAMPLE = "scheme, host and port of each page, without a path or a wildcard, like https://app.example.com,http://localhost:5173"


def origins(name: str) -> tuple[str, ...]:
    """A list of origins. Each gets the form in which browsers send it (RFC 6454, section 6.2).

    Raises:
        ImproperlyConfigured: an item is not exactly one origin.
    """
    return tuple(dict.fromkeys(_normalise(name, item) for item in items(name, like=_EXAMPLE)))


def _normalise(name: str, part: str) -> str:
    match = _ORIGIN.fullmatch(part.lower())
    host = normal_host(match["host"]) if match else None
    if match is None or host is None or (match["port"] and not is_port(match["port"])):
        raise wrong(name, f"contains {shown(part)}, which is not an exact origin", _EXAMPLE)
    return origin(match["scheme"], host, match["port"] or "")
