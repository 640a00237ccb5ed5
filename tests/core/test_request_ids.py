"""A request's id begins with the time at which it was made."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from todo_mcp.core.request_ids import new_request_id, time_of


def test_an_id_is_a_uuid_of_version_7_with_the_time_of_now() -> None:
    ids = [new_request_id() for _ in range(1000)]
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant, len(one)) for one in ids} == {(7, uuid.RFC_4122, 32)}
    assert len(set(ids)) == 1000
    for one in ids:
        at = time_of(one)
        assert at and abs(datetime.now(UTC) - at) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "text", ["", "r-1", "0" * 12 + "4" + "0" * 19, f"{'1' * 12}70008{'0' * 16}", f"{'f' * 12}7fff8{'f' * 15}"]
)
def test_another_id_has_no_time(text: str) -> None:
    assert time_of(text) is None
