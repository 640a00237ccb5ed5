"""The query of DATABASE_URL: what asyncpg, Prisma, JDBC, node-postgres and others write, in libpq's words.

A parameter that libpq knows is kept. One that only sets up another driver or its pool is ignored, and reported. Any
other parameter is refused: it may be a misspelled one that protects the connection.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.core.exceptions import ImproperlyConfigured
from psycopg.pq import Conninfo

from todo_mcp.configuration.environment import NO, YES, wrong

NAME = "DATABASE_URL"
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")  # in the order of their strictness
CONNECT_SECONDS_MAX = 600
_TLS = {mode.replace("-", ""): mode for mode in TLS_MODES} | {"noverify": "require"}
_TLS |= dict.fromkeys(YES, "require") | dict.fromkeys(NO, "disable")


def _fold(name: str) -> str:
    """``sslmode``, ``ssl-mode`` and ``sslMode`` are one name."""
    return re.sub("[-_]", "", name.lower())


_REFUSED = {"replication"}
_KEYWORDS = {_fold(name): name for name in (option.keyword.decode() for option in Conninfo.get_defaults())}
_ADDRESS = {"user": "user", "username": "user", "password": "password", "host": "host", "port": "port"}
_ADDRESS |= {"dbname": "dbname", "database": "dbname"}
_SCHEMAS = {"schema"}  # the name of one schema
_SETTINGS = {_fold(name): name for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")}
_SETTINGS |= {"jit": "jit", "searchpath": "search_path", "currentschema": "search_path"}
_SETTINGS |= {"schemasearchpath": "search_path"}
_ENCODINGS = {"encoding", "charset", "clientencoding"}
# Parameters with a value that switches prepared statements off, as a pooler in transaction mode requires.
_UNPREPARED = {
    "pgbouncer": YES,
    "disableserversidecursors": YES,
    "preparedstatements": NO,
    "prepare": NO | {"unnamed"},
    "preparethreshold": {"0", "none"},
    "statementcachesize": {"0"},
    "statementcachecapacity": {"0"},
    "preparedstatementcachesize": {"0"},
    "preparedstatementcachequeries": {"0"},
    "maxautoprepare": {"0"},
    "poolmode": {"transaction", "statement"},
    "preferquerymode": {"simple"},
    "defaultqueryexecmode": {"simpleprotocol", "exec", "describeexec", "cachedescribe"},
}
_PROTECTS = re.compile("ssl|tls|cert|auth|verify")  # in a name; never ignored
# How another driver pools, caches, waits, encodes and logs.
_IGNORED = re.compile(
    r"\w*(pool|cache|lifetime|timeout|idle|batch|binary|prefetch|fetchsize|retry|retries)\w*|(max|min)\w*|log\w*|echo|"
    r"conn(ection)?(limit|maxage|healthchecks)|autosave|advisorylocks|reapingfrequency|statementlimit|asyncfallback|"
    r"uselibpqcompat|singleuseconnections|supa|workaround|tcpkeepalive|stringtype|serverversion|timezone|"
    r"preparedstatementnamefunc|disablepreparedbinaryresult|future|nativedatetime"
)


@dataclass
class Parameters:
    """The parameters in libpq's words.

    Attributes:
        address: user, password, host, port, dbname; they take precedence over the rest of the URL.
        is_pooled: the URL asks for a connection without prepared statements.
        ignored: names of parameters without a meaning here.
    """

    address: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    is_pooled: bool = False
    ignored: list[str] = field(default_factory=list)


def translate(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """Translate the pairs of the query. An empty value counts as left out.

    Raises:
        ImproperlyConfigured: a parameter is unknown, has a wrong value, or contradicts another one.
    """
    found, settings = Parameters(), dict[str, str]()
    for name, value in pairs:
        if value:
            _add(found, settings, name, value)
    if found.is_pooled and settings.get("search_path") == "public":
        del settings["search_path"]  # PostgreSQL's default; poolers accept few settings
    for setting, value in settings.items():
        escaped = re.sub(r"([\\\s])", r"\\\1", value)
        found.options["options"] = f"{found.options.get('options', '')} -c {setting}={escaped}".strip()
    return found


def is_known(name: str) -> bool:
    """Whether the parameter has a meaning here or for another driver."""
    folded = _fold(name)
    known = _KEYWORDS.keys() | _ADDRESS.keys() | _SCHEMAS | _SETTINGS.keys() | _ENCODINGS | _UNPREPARED.keys()
    return folded in known | {"ssl", "sslaccept", "targetservertype"} or _is_ignored(folded)


def _is_ignored(folded: str) -> bool:
    return _IGNORED.fullmatch(folded) is not None and not _PROTECTS.search(folded)


def _add(found: Parameters, settings: dict[str, str], name: str, value: str) -> None:
    folded, lower = _fold(name), value.strip().lower()
    if folded in ("ssl", "sslmode"):
        _protect(found, name, _TLS.get(_fold(lower)))
    elif folded == "sslaccept":
        if lower == "strict":
            _protect(found, name, "verify-full")
    elif folded == "targetservertype":
        mode = {"any": "any", "primary": "read-write", "master": "read-write"}.get(lower)
        if mode is None:
            raise wrong(NAME, f"has {name!r} for a server that is read-only", "one with targetServerType=primary")
        _set(found.options, "target_session_attrs", mode, name)
    elif folded in _ENCODINGS:
        if _fold(lower) not in ("utf8", "utf8mb4", "unicode", "auto"):
            raise wrong(NAME, f"has the parameter {name!r}, but the encoding is always UTF-8", "a URL without it")
    elif folded in _UNPREPARED and _fold(lower) in _UNPREPARED[folded]:
        found.is_pooled = True
    elif folded == "connecttimeout":
        if not (lower.isascii() and lower.isdigit() and 1 <= int(lower[:9]) <= CONNECT_SECONDS_MAX):
            raise wrong(NAME, "has a wrong connect_timeout", f"one with 1 to {CONNECT_SECONDS_MAX} seconds, like 10")
        _set(found.options, "connect_timeout", lower, name)
    elif folded in _ADDRESS:
        _set(found.address, _ADDRESS[folded], value, name)
    elif folded in _SCHEMAS:
        _set(settings, "search_path", _identifier(value), name)
    elif folded in _SETTINGS:
        _set(settings, _SETTINGS[folded], value, name)
    elif folded in _KEYWORDS and folded not in _REFUSED:
        _set(found.options, _KEYWORDS[folded], value, name)
    elif folded in _UNPREPARED or _is_ignored(folded):
        if name not in found.ignored:
            found.ignored.append(name)
    else:
        shown = "a parameter" if "password" in found.address else f"the parameter {name[:40]!r}"  # or a part of it
        raise ImproperlyConfigured(
            f"{NAME} has {shown}, which is unknown here; remove it, or write one of libpq, like sslmode=require."
        )


def _protect(found: Parameters, name: str, mode: str | None) -> None:
    """Set the mode of TLS; of two modes the stricter one counts."""
    if mode is None:
        raise wrong(NAME, f"has a wrong {name}", f"one with sslmode={', '.join(TLS_MODES)}")
    found.options["sslmode"] = max(mode, found.options.get("sslmode", "disable"), key=TLS_MODES.index)


def _set(target: dict[str, str], key: str, value: str, name: str) -> None:
    if target.setdefault(key, value) != value:
        raise wrong(NAME, f"has two values for {name!r}", "a URL with one of them")


def _identifier(name: str) -> str:
    """A schema's exact name, as SQL writes it."""
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
