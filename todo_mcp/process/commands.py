"""Helpers for our commands: plain errors with exit status 1, and text that is safe to print to a terminal."""

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from todo_mcp.core.durations import parse_duration
from todo_mcp.core.errors import TodoError

# C0, DEL and C1 controls; Unicode direction marks and line ends; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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


def duration(text: str) -> timedelta:
    """Parse a duration such as 90m, 12h, 30d or 4w.

    Raises:
        ArgumentTypeError: the text is anything else.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
