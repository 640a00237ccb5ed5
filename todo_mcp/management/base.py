"""What our commands share: errors of the services become one sentence and exit status 1."""

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from todo_mcp.core.errors import TodoError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what a service refuses into a CommandError."""
    try:
        yield
    except TodoError as error:
        raise CommandError(error.message) from None
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def duration(said: str) -> timedelta:
    """A length of time as people write it: 90m, 12h, 30d, 4w; an ArgumentTypeError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", said)
    if not found:
        raise ArgumentTypeError(f"{said!r} is not a length of time; write 90m, 12h, 30d or 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
