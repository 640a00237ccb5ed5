"""Background work of a worker, which is repeated later if it fails."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError

from todo_mcp.core.errors import Busy
from todo_mcp.postgres.health.diagnosis import LINE_EVERY, diagnose
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)
_logged_at: dict[str, float] = {}  # by work: the time of its last warning


@contextmanager
def log_errors(work: str) -> Iterator[None]:
    """Log an error that this context raises, and suppress it: the caller repeats the work later.

    While the database cannot be used, each kind of work logs that once a minute.

    ``work`` is the plural noun that the log uses.
    """
    try:
        yield
    except Busy:
        logger.info("%s wait: busy", work)
    except (DatabaseError, InterfaceError) as error:
        if (cause := diagnose(error)) is None:
            logger.error("defect", extra=describe_error(error))
        elif time.monotonic() - _logged_at.get(work, -LINE_EVERY) >= LINE_EVERY:
            _logged_at[work] = time.monotonic()
            extra = {"cause": cause, **describe_error(error)}
            logger.warning("%s wait: the database cannot be used", work, extra=extra)
    except Exception as error:
        logger.error("defect", extra=describe_error(error))
