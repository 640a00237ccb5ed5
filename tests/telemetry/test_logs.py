"""A line of the log is one JSON object in ASCII for any input, and contains no text of a user by accident."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from todo_mcp.telemetry.logs import Formatter, request_id


def line_of(message: str = "call", exc_info: Any = None, **extra: Any) -> str:
    logger = logging.getLogger("todo_mcp.test")
    return Formatter().format(logger.makeRecord("todo_mcp.test", 20, "", 0, message, (), exc_info, extra=extra))


class Secretive:
    def __repr__(self) -> str:
        return "the words of a task"

    __str__ = __repr__


def test_a_line_has_time_message_and_request_id_then_the_extra_fields() -> None:
    reset = request_id.set("a-request-id")
    before = datetime.now(UTC)
    line = json.loads(line_of(tool="add_task", milliseconds=1.5, user=None))
    request_id.reset(reset)
    assert list(line) == ["time", "level", "logger", "message", "request_id", "tool", "milliseconds", "user"]
    assert list(line.values())[1:] == ["INFO", "todo_mcp.test", "call", "a-request-id", "add_task", 1.5, None]
    assert line["time"].endswith("Z")
    assert abs((datetime.fromisoformat(line["time"]) - before).total_seconds()) < 60


@pytest.mark.parametrize("text", ["\n\r\x00\x1b[2J", "\x7f", "\x85\u2028\u202e", "Größe 🌍", "\ud800", "\ud800\x7f"])
def test_any_text_is_written_in_ascii_and_can_be_read_back(text: str) -> None:
    line = line_of(text, client=text)
    assert line.isascii() and line.isprintable()
    assert (json.loads(line)["message"], json.loads(line)["client"]) == (text, text)


def test_an_integer_of_any_size_is_logged() -> None:
    assert json.loads(line_of(size=2**70))["size"] == 2**70


def test_a_value_that_is_not_json_is_logged_as_its_type() -> None:
    for value in (Secretive(), [Secretive()], {"deep": Secretive()}):
        for line in (line_of(value=value), line_of(value=value, size=2**70)):
            assert "Secretive" in line and "words" not in line


def test_the_request_that_django_adds_is_left_out() -> None:
    assert "request" not in json.loads(line_of(request="/admin/?q=words"))


def test_an_exception_is_logged_without_its_message() -> None:
    try:
        raise ValueError("the words of a task")
    except ValueError:
        line = line_of(exc_info=sys.exc_info())
    exception = json.loads(json.loads(line)["exc_info"])
    assert exception["error"] == "ValueError" and "test_logs.py" in exception["frames"][-1]
    assert "words" not in line.replace("test_an_exception_is_logged_without_its_message", "")
