"""Structured logs: one JSON object a line, with the request's id; control characters come out escaped.

Nothing logs a token or the text of a task at INFO or above.
"""

import contextvars
import json
import logging
import traceback
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

_PROJECT = str(Path(__file__).parent.parent)

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class RequestIdFilter(logging.Filter):
    """Puts the id of the request that is being served on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.__dict__.pop("request", None)  # Django adds it, and shows it with its query
        return True


def describe(error: BaseException) -> dict[str, Any]:
    """An error for the log: its type, SQLSTATE and the lines it came through, newest last: ours, and the last few.

    Not its message: PostgreSQL quotes the row that it refused, and that row is somebody's task.
    """
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames[:-4] if _is_ours(frame)] + frames[-4:]
    return {
        "error": type(error).__name__,
        "sqlstate": getattr(error.__cause__, "sqlstate", None),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in kept[-12:]],
    }


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_PROJECT) and "site-packages" not in frame.filename


class Formatter(JsonFormatter):
    """JSON; an exception that a library logs is told as ``describe`` does, for its message may quote a task too."""

    def formatException(self, ei: Any) -> str:
        return json.dumps(describe(ei[1])) if ei[1] else ""


def logging_settings(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error as JSON, third parties from WARNING up."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {
            "json": {
                "()": "todo_mcp.logs.Formatter",
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
