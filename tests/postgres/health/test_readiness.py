"""What /readyz and the log say of a database that changes under a running server."""

from collections.abc import AsyncIterator

import pytest
from django.db import connection

from tests.support.application import Orm
from todo_mcp.postgres import wall
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.health import readiness as module
from todo_mcp.postgres.health.readiness import Readiness

pytestmark = pytest.mark.anyio


@pytest.fixture
async def readiness(anyio_backend: str, committed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Readiness]:
    monkeypatch.setattr(module, "KEEP", 0.0)
    gate = DatabaseGate(1, 1.0)
    yield Readiness(gate)
    await gate.close()


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


async def test_a_wall_that_falls_is_in_the_log_once_and_beside_ready(
    readiness: Readiness, orm: Orm, caplog: pytest.LogCaptureFixture
) -> None:
    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == module.__name__]

    assert (await readiness.problem(), readiness.remark) == ("", "")
    await orm(lambda: run("ALTER TABLE messages DISABLE ROW LEVEL SECURITY"))
    try:
        for _ in range(2):
            assert (await readiness.problem(), readiness.remark) == ("", wall.MISSING)
        assert lines() == [f"{wall.MISSING} Run `manage.py migrate`."]
    finally:
        await orm(lambda: run("ALTER TABLE messages ENABLE ROW LEVEL SECURITY"))
    assert (await readiness.problem(), readiness.remark) == ("", "")
    assert len(lines()) == 1
