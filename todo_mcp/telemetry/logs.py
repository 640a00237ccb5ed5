"""Structured logs: one JSON object a line, with the request's id and with control characters escaped.

No line at INFO or above contains a token or the text of a task.
"""

import contextvars
import json
import logging
import os
import time
import traceback
from pathlib import Path
from typing import Any

import orjson

_ROOT = Path(__file__).parents[2]  # of a wheel, the directory of all packages
_PROJECT = tuple(f"{_ROOT / name}{os.sep}" for name in ("todo_mcp", "tasks", "conversations"))

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

# Attributes of a record that are not logged: those of every record, and Django's request, whose repr shows the query.
_OMITTED = frozenset(vars(logging.makeLogRecord({}))) | {"taskName", "request"}


def install() -> None:
    """Do not look up the file, thread and process of a record: that halves its cost (Python's logging HOWTO)."""
    logging._srcfile = None
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)


def describe_error(error: BaseException) -> dict[str, Any]:
    """An error for the log: its type, SQLSTATE and the last 12 of its frames in this project, newest last.

    The last 4 frames are always there. The message is not: PostgreSQL quotes the row that it refused, which may be a
    user's task.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames[:-4] if _is_in_project(frame)] + frames[-4:]
    return {
        "error": type(error).__name__,
        "sqlstate": getattr(error.__cause__, "sqlstate", None),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in lines[-12:]],
    }


def _is_in_project(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_PROJECT)


class Formatter(logging.Formatter):
    """A record as JSON in ASCII: time, level, logger, message and request id, then its ``extra`` values.

    An exception that a library logs is described by ``describe_error``: its message may quote a task too.
    """

    _second, _second_text = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        fields = {
            "time": f"{self._second_text}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        for name, value in vars(record).items():
            if name not in _OMITTED:
                fields[name] = value
        if record.exc_info and record.exc_info[1]:
            fields["exc_info"] = _to_ascii(describe_error(record.exc_info[1]))
        return _to_ascii(fields)


class AsWarning(logging.Handler):
    """Turns a record into a warning before the handlers of the root logger see it.

    Django logs a suspicious request, such as a form of a thousand fields, as an error, though the server did not fail.
    """

    def emit(self, record: logging.LogRecord) -> None:
        record.levelno, record.levelname = logging.WARNING, "WARNING"


def _to_ascii(fields: dict[str, Any]) -> str:
    try:
        line = orjson.dumps(fields, default=_type_name)
    except TypeError:  # a lone surrogate, or an integer past 64 bits
        text = json.dumps(fields, default=_type_name)
    else:
        if line.isascii() and b"\x7f" not in line:
            return line.decode()
        text = json.dumps(orjson.loads(line))
    return text.replace("\x7f", "\\u007f")


def _type_name(value: Any) -> str:
    """Log the type of a value that is not JSON; its repr may contain a user's text."""
    return type(value).__name__


def logging_settings(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error as JSON, third parties from WARNING up."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": Formatter}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
            "suspicious": {"()": AsWarning},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "todo_mcp": {"level": level},
            "tasks": {"level": level},
            "conversations": {"level": level},
            "uvicorn": {"level": "WARNING", "propagate": True},
            "django": {"level": "WARNING", "propagate": True},
            "django.security": {"handlers": ["suspicious"]},
        },
    }
