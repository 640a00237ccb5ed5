"""What the log says of background work that the database does not allow."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from todo_mcp.core.errors import Busy
from todo_mcp.postgres import background
from todo_mcp.postgres.background import log_errors


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    monkeypatch.setattr(background, "_logged_at", {})
    caplog.set_level("INFO", logger=background.__name__)
    yield caplog


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(one.levelname, one.getMessage()) for one in log.records if one.name == background.__name__]


def test_each_kind_of_work_says_once_a_minute_that_it_waits(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in ("mails", "counts", "mails", "counts"):
        with log_errors(work):
            raise OperationalError
    said = [("WARNING", f"{work} wait: the database cannot be used") for work in ("mails", "counts")]
    assert lines(log) == said
    background._logged_at["mails"] -= 60
    with log_errors("mails"):
        raise OperationalError
    assert lines(log) == [*said, said[0]]


def test_a_statement_that_is_wrong_is_a_defect_each_time(log: pytest.LogCaptureFixture, committed: None) -> None:
    for _ in range(2):
        with log_errors("counts"), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
    assert lines(log) == [("ERROR", "defect")] * 2


def test_a_full_gate_is_no_warning(log: pytest.LogCaptureFixture) -> None:
    with log_errors("counts"):
        raise Busy
    assert lines(log) == [("INFO", "counts wait: busy")]
