"""The clock of the server's machine jumps back under writers. PostgreSQL's clock does not, as on another host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.broken_database import PLACES
from tests.faults.ledger import writing
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HOUR = 3600
DIFFERS = "the clock of this machine differs from PostgreSQL's"


class Clock:
    """The clock of one server: libfaketime reads its offset from a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        self.file.with_suffix(".new").write_text(f"{seconds:+d}\n")
        self.file.with_suffix(".new").replace(self.file)

    @property
    def environment(self) -> dict[str, object]:
        return {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": self.file,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "offset")


@pytest.fixture
def server(database: Database, clock: Clock, tmp_path: Path) -> Iterator[ServerProcess]:
    log = tmp_path / "server.log"
    server = ServerProcess(database, log, DATABASE_CONNECTIONS=PLACES, LOG_LEVEL="INFO", **clock.environment)
    yield server
    server.close()


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
async def test_a_clock_that_jumps_back_loses_nothing_and_keeps_the_order(
    database: Database, server: ServerProcess, clock: Clock
) -> None:
    user_id, token = database.new_user()

    def messages() -> list[str]:
        return [line["message"] for line in server.log_lines()]

    async with server.client() as client, writing(client, token) as writers:
        await writers.progress()
        assert DIFFERS not in messages()
        clock.set(-HOUR)
        known = set(writers.ledger.acknowledged.values())
        await writers.progress(30)
        assert server.probe("/readyz") == 200
        envelope = await writers.caller.call("http", "list_tasks", limit=5)
        assert not known & {task["task_id"] for task in envelope["data"]["tasks"]}
    assert writers.ledger.complaints(database, user_id) == []
    assert not writers.ledger.refusals and not writers.ledger.unanswered
    wrong = "SELECT count(*) FROM tasks WHERE user_id = %s AND (updated_at < created_at OR completed_at < created_at)"
    assert database.query(wrong, user_id) == [(0,)]
    eventually(lambda: "the clock of this machine jumped back" in messages() and DIFFERS in messages(), "two warnings")
    assert "defect" not in messages()
