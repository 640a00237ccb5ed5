"""What our commands share: plain errors with exit status 1, and stored text that does nothing to a terminal."""

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from todo_mcp.core.errors import TodoError

# C0, DEL and C1 controls; what sets a direction or ends a line in Unicode; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def escaped(text: str, *, layout: str = "") -> str:
    r"""Text as it may be written to a terminal: what would control it becomes an escape such as ``\u009b``.

    In JSON that is the same value. The characters of ``layout`` stay: JSON that is indented needs its newlines.
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in layout else f"\\u{ord(found[0]):04x}", text)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what a service refuses into a CommandError."""
    try:
        yield
    except TodoError as error:
        raise CommandError(escaped(error.message)) from None
    except ValidationError as error:
        raise CommandError(escaped(" ".join(error.messages))) from None
    except ValueError as error:
        raise CommandError(escaped(str(error))) from None


def duration(said: str) -> timedelta:
    """A length of time as people write it: 90m, 12h, 30d, 4w; an ArgumentTypeError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", said)
    if not found:
        raise ArgumentTypeError(f"{said!r} is not a length of time; write 90m, 12h, 30d or 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
