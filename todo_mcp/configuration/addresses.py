"""Host names, URLs and networks in settings, each brought into one form."""

import ipaddress
import re
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured

from todo_mcp.configuration import environment
from todo_mcp.configuration.environment import is_value, wrong

_HOST = r"(?:\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?)"
_PUBLIC_URL = re.compile(rf"(https?)://({_HOST})(?::([0-9]*))?/*", re.IGNORECASE | re.ASCII)
_ALLOWED_HOST = re.compile(rf"(?:[a-z][a-z0-9+.-]*://)?(\*|\.?{_HOST})(?::[0-9*]*)?/*", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_USER_INFO = re.compile(r"([^:/?#\[\]]*)(?::(.*))?", re.DOTALL)
PORT_MAX = 65535

Reading = tuple[str, re.Match[str]]  # what stands before the @ of a URL, and the match of the rest


def public_url(name: str, default: str) -> tuple[str, str]:
    """A URL of scheme and host, in lower case and without a default port. Returns it, and its host."""
    example = "scheme and host without a path, like https://todo.example.com"
    value = environment.text(name, default, like=example)
    if "@" in value:
        raise wrong(name, "has a user name or a password", example)
    match = _PUBLIC_URL.fullmatch(value)
    host = normal_host(match[2]) if match else None
    if match is None or host is None:
        raise wrong(name, is_value(value), example)
    scheme, port = match[1].lower(), match[3] or ""
    if port and not is_port(port):
        raise wrong(name, f"{is_value(value)}, whose port is not 1 to {PORT_MAX}", example)
    return origin(scheme, host, port), host


def hosts(name: str) -> list[str]:
    """Host names as Django compares them: in lower case, without scheme and port. ``.`` allows subdomains."""
    example = "host names separated by commas, like todo.example.com,localhost"
    found = []
    for item in environment.items(name, like=example):
        match = _ALLOWED_HOST.fullmatch(item)
        host = normal_host(match[1] if match else f"[{item}]")  # an IPv6 address may lack its brackets
        if host is None:
            raise wrong(name, f"contains {environment.shown(item)}", example)
        found.append(host)
    return list(dict.fromkeys(found))


def networks(name: str) -> list[str]:
    """IP addresses and networks, or ``*``."""
    example = "IP addresses or networks separated by commas, like 127.0.0.1,10.0.0.0/8"
    found = []
    for item in environment.items(name, like=example):
        try:
            network = item if item == "*" else str(ipaddress.ip_network(item.strip("[]"), strict=False))
        except ValueError:
            raise wrong(name, f"contains {environment.shown(item)}", example) from None
        found.append(network)
    return list(dict.fromkeys(found))


def origin(scheme: str, host: str, port: str) -> str:
    """Scheme, host and port as browsers write them: without the scheme's own port (RFC 6454, section 6.2)."""
    suffix = f":{int(port)}" if port and int(port) != _DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{host}{suffix}"


def is_port(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,9}", text, re.ASCII)) and 1 <= int(text) <= PORT_MAX


def readings(rest: str, tail: "re.Pattern[str]") -> list[Reading]:
    """Every way to read what follows the scheme of a URL.

    A password may contain ``@ / ? # [ ]`` without percent-encoding. Then more than one ``@`` may be the separator.
    """
    found = []
    for position in [-1, *(match.start() for match in re.finditer("@", rest))]:
        user_info = rest[: max(position, 0)]
        match = tail.fullmatch(rest, position + 1)
        if match and _USER_INFO.fullmatch(user_info):
            found.append((user_info, match))
    return found


def unclear(name: str, example: str) -> ImproperlyConfigured:
    """The error for a URL with no reading, or with several."""
    return wrong(name, "has a host, a password or a query that is unclear", f"{example}, with %40 for @ in a password")


def not_text(name: str, example: str) -> ImproperlyConfigured:
    """The error for a URL with a part that cannot be decoded."""
    return wrong(name, "has a percent-encoded part that is not UTF-8 text", example)


def user_and_password(user_info: str) -> tuple[str, str]:
    """The two parts before the ``@``, decoded. A ``%`` without two hexadecimal digits stands for itself.

    Raises:
        ValueError: a percent-encoded part is not UTF-8 text, or contains NUL.
    """
    match = _USER_INFO.fullmatch(user_info)
    assert match is not None
    return decoded(match[1]), decoded(match[2] or "")


def decoded(part: str) -> str:
    """A part of a URL without percent-encoding.

    Raises:
        ValueError: it is not UTF-8 text, or contains NUL.
    """
    text = unquote(part, errors="strict")
    if "\0" in text:
        raise ValueError("NUL")
    return text


def normal_host(text: str) -> str | None:
    """The host in lower case, an IPv6 address in its short form; None if it is not an IPv6 address in brackets."""
    if not text.startswith("["):
        return text.lower().rstrip(".")
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    except ValueError:
        return None
