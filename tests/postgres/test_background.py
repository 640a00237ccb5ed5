"""What the log says of background work that the database does not allow."""

from collections.abc import AsyncIterator, Callable

import pytest
from django.db import OperationalError, connection

from todo_mcp.core.errors import Busy
from todo_mcp.postgres import background
from todo_mcp.postgres.background import attempt
from todo_mcp.postgres.gate import DatabaseGate

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(background, "_logged_at", {})
    caplog.set_level("INFO", logger=background.__name__)
    return caplog


@pytest.fixture
async def gate(anyio_backend: str) -> AsyncIterator[DatabaseGate]:
    gate = DatabaseGate(1, 1.0)
    yield gate
    await gate.close()


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(one.levelname, one.getMessage()) for one in log.records if one.name == background.__name__]


def failing(error: Exception) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


def executing(sql: str) -> Callable[[], object]:
    def work() -> object:
        with connection.cursor() as cursor:
            return cursor.execute(sql)

    return work


async def test_the_result_of_the_work_is_passed_on(gate: DatabaseGate) -> None:
    assert await attempt(gate, "counts", lambda: 5) == 5


async def test_each_kind_of_work_says_once_a_minute_that_it_waits(
    gate: DatabaseGate, log: pytest.LogCaptureFixture
) -> None:
    for work in ("mails", "counts", "mails", "counts"):
        assert await attempt(gate, work, failing(OperationalError())) is None
    said = [("WARNING", f"{work} wait: the database cannot be used") for work in ("mails", "counts")]
    assert lines(log) == said
    background._logged_at["mails"] -= 60
    await attempt(gate, "mails", failing(OperationalError()))
    assert lines(log) == [*said, said[0]]


@pytest.mark.parametrize("sql", ["SELECT 1 / 0", "SELECT FROM no_such_table"])
async def test_a_statement_that_is_wrong_is_a_defect_each_time(
    gate: DatabaseGate, log: pytest.LogCaptureFixture, committed: None, sql: str
) -> None:
    """For a table that is missing, the worker asks the database whether tables of this version are."""
    for _ in range(2):
        assert await attempt(gate, "counts", executing(sql)) is None
    assert lines(log) == [("ERROR", "defect")] * 2


async def test_a_full_gate_is_no_warning(gate: DatabaseGate, log: pytest.LogCaptureFixture) -> None:
    assert await attempt(gate, "counts", failing(Busy())) is None
    assert lines(log) == [("INFO", "counts wait: busy")]
