"""Helpers for our commands: plain errors with exit status 1, and text that is safe to print to a terminal."""

import os
import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import Error, InterfaceError, NotSupportedError, OperationalError
from django.db.migrations.exceptions import MigrationSchemaMissing

from todo_mcp.configuration.database_settings import LIBPQ_VARIABLES
from todo_mcp.configuration.database_url import EXAMPLE
from todo_mcp.configuration.distribution import command, data_directory
from todo_mcp.core.durations import parse_duration
from todo_mcp.core.errors import TodoError

# C0, DEL and C1 controls; Unicode direction marks and line ends; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Errors that come from the choice of the database, not from a defect.
_OF_THE_CONNECTION = (InterfaceError, MigrationSchemaMissing, NotSupportedError, OperationalError)
_OF_THE_DATABASE = ("25006", "3F000", "42501")  # read-only, no schema, no permission
_NO_TABLES = ("42P01", "42703", "42883")  # no table, no column, no function


def escaped(text: str, *, layout: str = "") -> str:
    r"""Make text safe for a terminal: control characters become escapes such as ``\u009b``.

    In JSON, the escape has the same value. Characters in ``layout`` stay: indented JSON needs its newlines.
    """
    return _UNSAFE.sub(lambda match: match[0] if match[0] in layout else f"\\u{ord(match[0]):04x}", text)


@contextmanager
def service_errors() -> Iterator[None]:
    """Turn a service's error into a ``CommandError``."""
    try:
        yield
    except TodoError as error:
        raise CommandError(escaped(error.message)) from None
    except ValidationError as error:
        raise CommandError(escaped(" ".join(error.messages))) from None
    except ValueError as error:
        raise CommandError(escaped(str(error))) from None


def database_problem(error: Error) -> str:
    """What is wrong with the configured database, as one sentence; "" if the error may be a defect of the program."""
    is_embedded = "EMBEDDED_DATA_DIR" in settings.DATABASES["default"]
    name = f"TODO_DATA_DIR, {settings.TODO_DATA_DIR}, has" if is_embedded else "DATABASE_URL names"
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if state in _NO_TABLES:
        return f"{name} a database without the tables of this version; run `{command('migrate')}` first."
    if not isinstance(error, _OF_THE_CONNECTION) and state not in _OF_THE_DATABASE:
        return ""
    original = error.__context__ if isinstance(error, MigrationSchemaMissing) else error  # the former quotes it
    lines = str(original).strip().splitlines() or [type(error).__name__]
    reasons = [line.rpartition(" failed: ")[2] for line in lines if " failed: " in line]  # one for each address
    reason = escaped(" ".join((reasons or lines[:1])[-1].split()).rstrip("."))
    if is_embedded:
        return (
            f"{name} a database that cannot be used ({reason}); set it to another directory, like {data_directory()}."
        )
    check = " and ".join(["check PostgreSQL", *(name for name in LIBPQ_VARIABLES if name in os.environ)])
    return f"{name} a database that cannot be used ({reason}); write it like {EXAMPLE}, and {check}."


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn a database error into a ``CommandError`` of one sentence."""
    try:
        yield
    except (Error, psycopg.Error) as error:
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        problem = database_problem(error) if isinstance(error, Error) else ""
        raise CommandError(problem or f"The database reports an error: {escaped(first)}.") from None


def duration(text: str) -> timedelta:
    """Parse a duration such as 90m, 12h, 30d or 4w.

    Raises:
        ArgumentTypeError: the text is anything else.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
