"""The setting BROWSER_ORIGINS: the origins of pages that may call this server."""

import ipaddress
import re

from django.core.exceptions import ImproperlyConfigured

# http and https, browser extensions, and frameworks that show a page as an app.
_ORIGIN = re.compile(
    r"(?P<scheme>https?|[a-z-]+-extension|app|capacitor|ionic|tauri)://"
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ADVICE = (
    "set it to scheme, host and port of each page, without a path or a wildcard, "
    "like https://app.example.com,http://localhost:5173."
)


def parse_origins(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of origins. Each gets the form in which browsers send it (RFC 6454, section 6.2).

    Raises:
        ImproperlyConfigured: a part is not exactly one origin.
    """
    parts = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(_normalise(part) for part in parts if part))


def _normalise(part: str) -> str:
    match = _ORIGIN.fullmatch(part.lower())
    if match is None:
        raise _no_origin(part)
    scheme, host, port = match["scheme"], match["host"], int(match["port"] or _DEFAULT_PORTS.get(match["scheme"], 0))
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise _no_origin(part) from None
    if port > 65_535 or (match["port"] and not port):
        raise _no_origin(part)
    return f"{scheme}://{host}" if port in (0, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _no_origin(part: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"BROWSER_ORIGINS contains {part!r}, which is not an exact origin; {_ADVICE}")
