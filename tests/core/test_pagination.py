"""Cursors: every position has exactly one, and no other text is a cursor."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import RESOURCES
from todo_mcp.core.pagination import Position, decode

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
positions = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.integers(1, MAX_ID))


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@given(positions)
@example(Position(datetime.min.replace(tzinfo=UTC), 1))
@example(Position(datetime.max.replace(tzinfo=UTC), MAX_ID))
def test_a_cursor_is_decoded_to_its_position(position: Position) -> None:
    assert decode(position.encode()) == position


@given(positions)
def test_a_cursor_is_short_and_safe_in_a_url(position: Position) -> None:
    cursor = position.encode()
    assert len(cursor) <= 64
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_position_in_another_time_zone_has_the_same_cursor() -> None:
    elsewhere = NOON.astimezone(datetime.now().astimezone().tzinfo)
    assert Position(elsewhere, 7).encode() == Position(NOON, 7).encode()
    assert Position(NOON + timedelta(microseconds=1), 7).encode() != Position(NOON, 7).encode()


@given(st.one_of(st.text(), st.text(alphabet="ABCabc019-_=./+ \n"), st.text().map(lambda text: packed(ascii(text)))))
def test_any_other_text_is_no_cursor_or_the_only_cursor_of_its_position(cursor: str) -> None:
    try:
        position = decode(cursor)
    except ValueError:
        return
    assert position.encode() == cursor


@pytest.mark.parametrize(
    "forged",
    [
        "=",
        "MQ",
        Position(NOON, 7).encode() + "=",
        Position(NOON, 7).encode() + "\n",
        " " + Position(NOON, 7).encode(),
        Position(NOON, 7).encode()[:-1],
        packed("1.0"),
        packed("1.-1"),
        packed(f"1.{MAX_ID + 1}"),
        packed("01.1"),
        packed("+1.1"),
        packed("1.+1"),
        packed("1_0.1"),
        packed("1.1.1"),
        packed("1.1 "),
        packed(".1"),
        packed("1."),
        packed("\u0661.1"),
        packed("1e3.1"),
        packed("-62135596800000001.1"),  # a microsecond before the year 1
        packed("253402300800000000.1"),  # the year 10000
        packed(f"{'9' * 40}.1"),
        packed(f"{'9' * 5000}.1"),
        packed(f"1.{'9' * 5000}"),
        "x" * 200_000,
        "\ud800",
        "🥛",
        "MS4y/+",
    ],
    ids=lambda forged: ascii(forged[:20]),
)
def test_a_forged_cursor_is_refused(forged: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode(forged)
    with pytest.raises(InvalidArguments) as refused:
        RESOURCES["list_conversations"].validate({"cursor": forged})
    assert refused.value.details["fields"] == {
        "cursor": "is not a next_cursor of this list; leave it out to start at the beginning"
    }


@given(positions)
def test_the_cursor_of_a_position_is_accepted(position: Position) -> None:
    assert RESOURCES["list_conversations"].validate({"cursor": position.encode()}) == {"cursor": position}
