"""The bytes of an answer: compact JSON in UTF-8, with times in UTC that end in Z."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from todo_mcp.core.envelope import Output, failure, success, to_json
from todo_mcp.core.errors import InvalidArguments, TaskNotFound

any_text = st.text(st.characters(exclude_categories=()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=10,
)


class Inner(BaseModel):
    at: datetime


class Painted(Output):
    at: datetime
    inner: Inner
    missing: str | None = None

    def message(self) -> str:
        return "Painted."


@given(json_values)
def test_any_json_value_survives_a_round_trip(value: Any) -> None:
    body = to_json(value)
    assert json.loads(body.decode()) == value
    assert b"\n" not in body


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(0))),
        datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("UTC")),
    ],
    ids=str,
)
def test_a_time_in_utc_ends_in_z(at: datetime) -> None:
    assert to_json(at) == b'"2026-03-01T12:00:00Z"'
    assert to_json({"at": at, "\ud800": 1}) == b'{"at":"2026-03-01T12:00:00Z","\\ud800":1}'


def test_a_fraction_of_a_second_is_kept() -> None:
    assert to_json(datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == b'"0001-01-01T00:00:00.000001Z"'


def test_an_output_becomes_the_envelopes_data_with_every_field() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    body = to_json(success(Painted(at=at, inner=Inner(at=at))))
    assert json.loads(body) == {
        "status": "success",
        "data": {"at": "2026-03-01T12:00:00Z", "inner": {"at": "2026-03-01T12:00:00Z"}, "missing": None},
        "message": "Painted.",
    }


def test_an_error_becomes_the_envelopes_data_with_its_details() -> None:
    assert failure(TaskNotFound(7)) == {
        "status": "error",
        "data": {"error_code": 404, "error": "task_not_found"},
        "message": "Task 7 not found. Call list_tasks to see valid ids.",
    }
    assert failure(InvalidArguments({"title": "is required"}))["data"]["fields"] == {"title": "is required"}


def test_a_value_that_is_not_json_raises_a_type_error() -> None:
    with pytest.raises(TypeError):
        to_json({"x": object()})
    with pytest.raises(TypeError):
        to_json({"x": {1, 2}, "\ud800": 1})
