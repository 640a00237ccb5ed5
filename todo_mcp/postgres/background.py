"""Background work of a worker, which is repeated later if it fails."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from todo_mcp.core.errors import Busy
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)


@contextmanager
def repeated_later(work: str) -> Iterator[None]:
    """Log an error of this context, and stop it. ``work`` is a plural noun for the log."""
    try:
        yield
    except Busy:
        logger.info("%s wait: busy", work)
    except DatabaseError as error:
        logger.warning("%s wait: the database cannot be used", work, extra=describe_error(error))
    except Exception as error:
        logger.error("defect", extra=describe_error(error))
