"""Structured logs: one JSON object a line, with the request's id; control characters come out escaped.

Nothing logs a token or the text of a task at INFO or above.
"""

import contextvars
import logging
from typing import Any

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class RequestIdFilter(logging.Filter):
    """Puts the id of the request that is being served on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def logging_settings(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error as JSON, third parties from WARNING up."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "todo_mcp": {"level": level},
            "tasks": {"level": level},
            "conversations": {"level": level},
            "uvicorn": {"level": "WARNING", "propagate": True},
            "django": {"level": "WARNING", "propagate": True},
        },
    }
