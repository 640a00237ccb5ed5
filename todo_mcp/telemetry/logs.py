"""Structured logs: one JSON object a line, with the request's id; control characters come out escaped.

Nothing logs a token or the text of a task at INFO or above.
"""

import contextvars
import json
import logging
import time
import traceback
from pathlib import Path
from typing import Any

import orjson

_PROJECT = str(Path(__file__).parent.parent.parent)

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


# No line tells who wrote it by file, thread or process: not asking halves a record's cost (Python's logging HOWTO).
logging._srcfile = None
for _asked in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
    setattr(logging, _asked, False)

# Of a record: what logging gives every one; and Django's request, which shows its query.
_UNTOLD = frozenset(vars(logging.makeLogRecord({}))) | {"taskName", "request"}


def describe_error(error: BaseException) -> dict[str, Any]:
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


class Formatter(logging.Formatter):
    """A record as JSON in ASCII: when, what and in which request, then whatever it was given besides.

    An exception that a library logs is told as ``describe_error`` does, for its message may quote a task too.
    """

    _second, _began = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._second, self._began = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        fields = {
            "time": f"{self._began}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        for name, value in vars(record).items():
            if name not in _UNTOLD:
                fields[name] = value
        if record.exc_info and record.exc_info[1]:
            fields["exc_info"] = _to_ascii(describe_error(record.exc_info[1]))
        return _to_ascii(fields)


class AsWarning(logging.Handler):
    """Makes a record a warning before the handlers further up see it.

    Django logs a suspicious request, such as a form of a thousand fields, as an error. The server did not fail.
    """

    def emit(self, record: logging.LogRecord) -> None:
        record.levelno, record.levelname = logging.WARNING, "WARNING"


def _to_ascii(fields: dict[str, Any]) -> str:
    try:
        line = orjson.dumps(fields, default=_kind)
    except TypeError:  # a lone surrogate, or an integer past 64 bits
        text = json.dumps(fields, default=_kind)
    else:
        if line.isascii() and b"\x7f" not in line:
            return line.decode()
        text = json.dumps(orjson.loads(line))
    return text.replace("\x7f", "\\u007f")


def _kind(value: Any) -> str:
    """What stands for a value that is not JSON: its type, for what it says of itself may be somebody's words."""
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
