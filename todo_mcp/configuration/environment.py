"""Reads variables as people write them: with blanks, quotes, capitals, and from a ``.env`` with any line ends.

A variable that is empty counts as unset. Each error is one sentence: the variable, what is wrong, what to write.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv
from dotenv.parser import parse_stream

QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’"}  # noqa: RUF001 (word processors write the last two)
INVISIBLE = "\ufeff\u200b"  # what copied text may begin or end with, beside blanks
SHOWN_MAX = 60  # characters of a wrong value
# What people write for true and false, in lower case.
YES = frozenset({"true", "t", "yes", "y", "on", "1"})
NO = frozenset({"false", "f", "no", "n", "off", "0"})


def read_file(path: Path) -> None:
    """Add the variables of a ``.env`` file, if it exists. Those of the environment stay.

    Raises:
        ImproperlyConfigured: the file cannot be read, or a line is not an assignment.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read ({error.strerror}); make it a text file with lines like LOG_LEVEL=INFO."
        ) from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    for binding in parse_stream(StringIO(text)):
        if binding.error or binding.key == "" or "\0" in binding.original.string:
            statement = binding.original.string
            line = binding.original.line + statement[: len(statement) - len(statement.lstrip())].count("\n")
            raise ImproperlyConfigured(f"{path}, line {line}, is not an assignment; write it like LOG_LEVEL=INFO.")
    load_dotenv(stream=StringIO(text))


def text(name: str, default: str = "", *, like: str = "", newlines: bool = False) -> str:
    """The value without blanks and quotes around it, or the default.

    Raises:
        ImproperlyConfigured: the value has a control character or is not UTF-8 text.
    """
    value = bare(os.environ.get(name, ""))
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and not (newlines and character in "\n\r\t"):
            problem = "is not UTF-8 text" if character >= "\ud800" else f"has the character U+{ord(character):04X}"
            raise wrong(name, problem, like or "visible characters only")
    return value or default


def choice(name: str, default: str, allowed: Iterable[str], *, aliases: Mapping[str, str] | None = None) -> str:
    """One of the allowed values, in any case of letters. ``aliases`` are further spellings, in upper case."""
    value = text(name, default, like=" or ".join(allowed))
    spellings = {one.upper(): one for one in allowed} | dict(aliases or {})
    if value.upper() not in spellings:
        raise wrong(name, is_value(value), " or ".join(allowed))
    return spellings[value.upper()]


def integer(name: str, default: int, minimum: int, maximum: int) -> int:
    """An integer between the two bounds."""
    example = f"{minimum} to {maximum}, like {max(default, minimum)}"
    value = text(name, str(default), like=example)
    if not re.fullmatch("[+-]?[0-9]{1,18}", value, re.ASCII):
        raise wrong(name, f"{is_value(value)}, which is not a whole number", example)
    if not minimum <= int(value) <= maximum:
        raise wrong(name, is_value(value), example)
    return int(value)


def items(name: str, *, like: str = "") -> list[str]:
    """The items of a list, which commas or blanks separate. Quotes, empty items and repeated ones are dropped."""
    around = "".join([*QUOTES, *QUOTES.values(), INVISIBLE])
    parts = re.split(r"[,\s]+", text(name, like=like, newlines=True))
    return list(dict.fromkeys(filter(None, (part.strip(around) for part in parts))))


def directory(name: str, default: str, base: Path) -> Path:
    """The absolute path of a directory, which need not exist. It may start at ``base``; ``~`` is the home directory."""
    value = text(name, default, like=default)
    try:
        return (base / Path(value).expanduser()).absolute()
    except FileNotFoundError:
        raise wrong(name, f"{is_value(value)}, and the current directory is removed", "an absolute path") from None
    except RuntimeError:
        raise wrong(name, f"{is_value(value)}, but there is no such user", f"a directory, like {default}") from None


def check_directory(name: str) -> None:
    """If the variable is set, it must name a directory that this process may write to. Empty, it is removed."""
    value = text(name)
    if not value:
        os.environ.pop(name, None)
    elif not (os.path.isdir(value) and os.access(value, os.W_OK | os.X_OK)):
        raise wrong(name, f"{is_value(value)}, which is not a directory that can be used", "one, like /tmp")


def token(name: str, least: int = 0) -> str:
    """A secret that clients send in a header: visible ASCII characters, at least this many. Or "" if there is none."""
    value = text(name)
    if not re.fullmatch("[!-~]*", value):
        raise wrong(name, "has a blank or a character outside of ASCII", "random letters and digits")
    if value and len(value) < least:
        raise wrong(name, f"is shorter than {least} characters", f"at least {least} random letters and digits")
    return value


def bare(value: str) -> str:
    """The value without blanks and quotes around it."""
    while (inner := _without_quotes(value.strip().strip(INVISIBLE))) != value:
        value = inner
    return value


def wrong(name: str, problem: str, example: str) -> ImproperlyConfigured:
    """The error for a wrong variable."""
    return ImproperlyConfigured(f"{name} {problem}; set it to {example}.")


def is_value(value: str) -> str:
    """Say what a variable is. Only for a value that may be shown."""
    return f"is {shown(value)}"


def shown(value: str) -> str:
    """A wrong value in an error. A URL with a password may stand in the wrong variable, so it is not shown."""
    if "@" in value or "password" in value.lower():
        return "a value that may hold a password"
    return f"{value[:SHOWN_MAX]!r}{'…' * (len(value) > SHOWN_MAX)}"


def _without_quotes(value: str) -> str:
    return value[1:-1] if len(value) > 1 and QUOTES.get(value[0]) == value[-1] else value
