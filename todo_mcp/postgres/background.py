"""Background work of a worker, which is repeated later if it fails."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError

from todo_mcp.core.errors import Busy
from todo_mcp.postgres.health.diagnosis import diagnose
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)


@contextmanager
def log_errors(work: str) -> Iterator[None]:
    """Log an error that this context raises, and suppress it: the caller repeats the work later.

    ``work`` is the plural noun that the log uses.
    """
    try:
        yield
    except Busy:
        logger.info("%s wait: busy", work)
    except (DatabaseError, InterfaceError) as error:
        extra = {"cause": diagnose(error), **describe_error(error)}
        logger.warning("%s wait: the database cannot be used", work, extra=extra)
    except Exception as error:
        logger.error("defect", extra=describe_error(error))
