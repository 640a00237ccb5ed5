"""DATABASE_URL, in the forms of libpq, SQLAlchemy, Prisma and hosting providers. No error shows the URL."""

import re
from dataclasses import dataclass

from todo_mcp.configuration.addresses import (
    PORT_MAX,
    Reading,
    decoded,
    is_port,
    not_text,
    readings,
    unclear,
    user_and_password,
)
from todo_mcp.configuration.database_parameters import NAME, is_known, translate
from todo_mcp.configuration.environment import wrong

EXAMPLE = "postgresql://user:password@host:5432/name"
NAME_MAX = 63  # bytes of PostgreSQL's names
_SCHEME = re.compile(r"(?:postgres(?:ql)?|psql|pgsql)(?:\+\w+)?://(.*)", re.IGNORECASE | re.DOTALL)
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s/?#@:,\[\]]*)(?::[^\s/?#@:,\[\]]*)?"
_TAIL = re.compile(rf"(?P<hosts>{_HOST}(?:,{_HOST})*)(?:/(?P<name>[^/?#@]*)/?)?(?:\?(?P<query>[^#]*))?")
_HOST_AND_PORT = re.compile(r"\[(.*)\]:?(.*)|([^:]*):?(.*)")


@dataclass(frozen=True)
class DatabaseUrl:
    """What a URL says.

    Attributes:
        options: libpq's other parameters.
        is_pooled: the URL asks for connections without prepared statements, as a pooler in transaction mode needs.
        ignored: names of parameters without a meaning here.
    """

    host: str
    port: str
    user: str
    password: str
    name: str
    options: dict[str, str]
    is_pooled: bool
    ignored: tuple[str, ...]


def parse_database_url(url: str) -> DatabaseUrl | None:
    """Parse the URL. None if it is empty.

    Raises:
        ImproperlyConfigured: it is not a PostgreSQL URL. The message is one sentence and shows no part of a password.
    """
    if not url:
        return None
    match = _SCHEME.fullmatch(url)
    if not match:
        raise wrong(NAME, "is not a PostgreSQL URL", EXAMPLE)
    try:
        user_info, tail = _read(match[1])
        user, password = user_and_password(user_info)
        host, port = _hosts_and_ports(tail["hosts"])
        address = {
            "host": host,
            "port": port,
            "user": user,
            "password": password,
            "dbname": decoded(tail["name"] or ""),
        }
        found = translate(_pairs(tail["query"] or ""))
    except ValueError:
        raise not_text(NAME, EXAMPLE) from None
    address |= found.address
    if any(port and not is_port(port) for port in address["port"].split(",")):
        raise wrong(NAME, f"has a port that is not 1 to {PORT_MAX}", EXAMPLE)
    if not address["dbname"] and "service" not in found.options:
        raise wrong(NAME, "names no database", EXAMPLE)
    if len(address["dbname"].encode()) > NAME_MAX:
        raise wrong(NAME, f"names a database with more than {NAME_MAX} bytes", EXAMPLE)
    return DatabaseUrl(
        host=address["host"],
        port=address["port"],
        user=address["user"],
        password=address["password"],
        name=address["dbname"],
        options=found.options,
        is_pooled=found.is_pooled,
        ignored=tuple(found.ignored),
    )


def _read(rest: str) -> Reading:
    """The only likely way to read the URL: what stands before the ``@``, and the match of the rest."""
    found = [reading for reading in readings(rest, _TAIL) if _is_query(reading[1]["query"] or "")]
    for is_likely in (_names_a_database, _has_ports, _is_encoded):
        if len(found) > 1:
            found = [reading for reading in found if is_likely(reading)] or found
    if len(found) != 1:
        raise unclear(NAME, EXAMPLE)
    return found[0]


def _names_a_database(reading: Reading) -> bool:
    return bool(reading[1]["name"])


def _has_ports(reading: Reading) -> bool:
    return all(is_port(port) for port in _hosts_and_ports(reading[1]["hosts"])[1].split(",") if port)


def _is_encoded(reading: Reading) -> bool:
    """Whether the password has no unencoded character, and every parameter exists."""
    names = [name for name, _ in _pairs(reading[1]["query"] or "")]
    return not re.search(r"[@/?#\[\]]", reading[0]) and all(map(is_known, names))


def _is_query(query: str) -> bool:
    return all(re.fullmatch(r"[\w.\[\];-]+=.*", part, re.DOTALL) for part in query.split("&") if part)


def _pairs(query: str) -> list[tuple[str, str]]:
    """The parameters. A plus is a blank only in ``options``; libpq knows no plus, but other drivers do."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    return [(name, decoded(value.replace("+", " ") if name == "options" else value)) for name, _, value in pairs]


def _hosts_and_ports(text: str) -> tuple[str, str]:
    """Comma-separated hosts and ports, as libpq expects them."""
    hosts, ports = [], []
    for item in text.split(","):
        match = _HOST_AND_PORT.fullmatch(item)
        assert match is not None
        hosts.append(decoded(match[1] or match[3] or ""))
        ports.append(decoded(match[2] or match[4] or ""))
    return ",".join(hosts), ",".join(ports) if any(ports) else ""
