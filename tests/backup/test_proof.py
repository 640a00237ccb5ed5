"""A backup under writers, everything destroyed, a restore on a fresh machine: nothing acknowledged is missing.

The fresh machine may be another kind of installation: its own PostgreSQL in place of the embedded one, or the reverse.
"""

import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backup.machine import Machine, members
from tests.support.manage import Manage
from tests.support.processes import eventually

ALL = os.environ.get("TODO_TEST_OPERATING") == "all"  # each takes 20 seconds
KINDS = [("embedded", "own"), ("own", "embedded"), ("embedded", "embedded")]
WRITERS = 4
PROGRESS = 40  # acknowledged tasks before the backup begins
CHECKSUM = "SELECT count(*), coalesce(sum(hashtextextended(row::text, 0)), 0)::text FROM public.{} AS row"


class Ledger:
    """Clients that add and complete tasks, and the titles that the server has acknowledged."""

    def __init__(self, server: Manage, token: str) -> None:
        self._server, self._token = server, token
        self.added: dict[str, int] = {}
        self.completed: set[str] = set()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        while not self._stopping.wait(0.05):  # the tests share the machine
            title = uuid.uuid4().hex
            self.added[title] = self._server.call("add_task", self._token, title=title)["data"]["task_id"]
            answer = self._server.call("complete_task", self._token, task_id=self.added[title])
            assert answer["status"] == "success"
            self.completed.add(title)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("kinds", KINDS if ALL else KINDS[:1], ids="-".join)
def test_a_backup_under_writers_has_every_acknowledged_task_on_a_fresh_machine(
    directory: Path, create_database: Callable[..., str], kinds: tuple[str, str]
) -> None:
    urls = [create_database() if kind == "own" else "" for kind in kinds]
    lost, fresh = (Machine(directory / name, url) for name, url in zip(("lost", "fresh"), urls, strict=True))
    path = directory / "backup.tar"
    settings: dict[str, Any] = {"USER": "alice", "LOGNAME": "alice"}
    server = Manage(lost.directory, "run", data_dir=lost.data, DATABASE_URL=urls[0], **settings)
    try:
        token = server.line("Token: ")
        ledger = Ledger(server.wait_ready(), token)
        try:
            eventually(lambda: len(ledger.completed) > PROGRESS, "some writes")
            added, completed = dict(ledger.added), set(ledger.completed)
            lost.manage("backup", path)
            eventually(lambda: len(ledger.added) > len(added) + WRITERS, "more writes")
        finally:
            ledger.stop()
        secrets = lost.secrets()
        assert server.end() == 0
        shutil.rmtree(lost.directory)

        fresh.manage("restore", path)
        rows = fresh.query("SELECT title, id, completed FROM tasks")
        stored = {title: task_id for title, task_id, _ in rows}
        assert added.items() <= stored.items() <= ledger.added.items()
        assert completed <= {title for title, _, is_completed in rows if is_completed}
        assert len(stored) < len(ledger.added), "clients wrote after the backup"
        manifest = json.loads(members(path)["manifest.json"])
        assert set(manifest["tables"]) == set(fresh.checksums())
        for table, expected in manifest["tables"].items():
            assert [list(row) for row in fresh.query(CHECKSUM.format(table))] == [expected], table
        assert fresh.secrets() == secrets

        again = Manage(fresh.directory, "run", data_dir=fresh.data, DATABASE_URL=urls[1], **settings)
        try:
            assert again.line("Token: ") == token
            answer = again.wait_ready().call("list_tasks", token, status="all")
            assert answer["data"]["total"] == len(stored)
        finally:
            assert again.end() == 0
    finally:
        server.clean_up()
        fresh.clean_up()
