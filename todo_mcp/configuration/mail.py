"""EMAIL_URL and MAIL_FROM. No error shows the URL."""

import re
from email.utils import getaddresses
from typing import Any

from todo_mcp.configuration import environment
from todo_mcp.configuration.addresses import PORT_MAX, is_port, not_text, readings, unclear, user_and_password
from todo_mcp.configuration.environment import NO, YES, is_value, wrong

EXAMPLE = "smtp+tls://user:password@mail.example.com:587"
_NONE: dict[str, bool] = {}
_STARTTLS, _TLS = {"EMAIL_USE_TLS": True}, {"EMAIL_USE_SSL": True}  # Django's two names
# For each scheme: the default port and the protection. The last names are those of dj-email-url.
_SMTP: dict[str, tuple[int, dict[str, bool]]] = {
    "smtp": (25, _NONE),
    "smtps": (465, _TLS),
    "smtp+ssl": (465, _TLS),
    "smtp+tls": (587, _STARTTLS),
    "smtp+starttls": (587, _STARTTLS),
    "submission": (587, _STARTTLS),
    "submit": (587, _STARTTLS),
}
_OTHERS = {"console": "console", "dummy": "dummy", "memory": "locmem"}
_TAIL = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]*)(?::(?P<port>[^/?#@:]*))?/?(?:\?(?P<query>[^#]*))?")


def mail_settings(name: str, default: str) -> dict[str, Any]:
    """Django's settings for sending mail, from the URL or from the default.

    Raises:
        ImproperlyConfigured: the URL is wrong. The message is one sentence and shows no password.
    """
    value = environment.text(name, default, like=EXAMPLE)
    scheme, separator, rest = value.partition("://")
    scheme = scheme.lower() if separator else value.rstrip(":").lower()
    if scheme in _OTHERS and not rest:
        return {"EMAIL_BACKEND": _backend(_OTHERS[scheme])}
    if scheme == "file" and rest.startswith("/"):
        return {"EMAIL_BACKEND": _backend("filebased"), "EMAIL_FILE_PATH": rest}
    if scheme not in _SMTP or not separator:
        raise wrong(name, "is not the URL of a mail server", EXAMPLE)
    return _smtp(name, scheme, rest)


def sender(name: str, default: str) -> str:
    """The address of the sender, alone or with a name: ``Tasks <todo@example.com>``."""
    example = "an address, like todo-mcp@example.com"
    value = environment.text(name, like=example)
    if not value:
        return default
    addresses = [address for _, address in getaddresses([value])]
    user, _, host = addresses[0].rpartition("@")
    if len(addresses) > 1 or not user or not host or re.search(r"[\s,;<>]", addresses[0]):
        raise wrong(name, is_value(value), example)
    return value


def _smtp(name: str, scheme: str, rest: str) -> dict[str, Any]:
    found = readings(rest, _TAIL)
    if len(found) != 1:
        raise unclear(name, EXAMPLE)
    [(user_info, tail)] = found
    try:
        user, password = user_and_password(user_info)
    except ValueError:
        raise not_text(name, EXAMPLE) from None
    port, protection = _SMTP[scheme]
    if tail["port"]:
        if not is_port(tail["port"]):
            raise wrong(name, f"has a port that is not 1 to {PORT_MAX}", EXAMPLE)
        port = int(tail["port"])
    if protection is _TLS and port == 587:
        protection = _STARTTLS  # the port for STARTTLS (RFC 6409)
    for key, _, value in (part.partition("=") for part in (tail["query"] or "").split("&") if part):
        if key.lower() not in ("ssl", "tls"):
            raise wrong(name, f"has the parameter {key[:40]!r}, which is unknown here", EXAMPLE)
        if value and value.lower() not in YES | NO:
            raise wrong(name, f"has a wrong value of {key.lower()}", f"{EXAMPLE}?{key.lower()}=true")
        if value.lower() in YES:
            protection = _TLS if key.lower() == "ssl" else _STARTTLS
    return {
        "EMAIL_BACKEND": _backend("smtp"),
        "EMAIL_HOST": tail["host"].strip("[]") or "localhost",
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": user,
        "EMAIL_HOST_PASSWORD": password,
        **protection,
    }


def _backend(name: str) -> str:
    return f"django.core.mail.backends.{name}.EmailBackend"
