"""A call without new fields costs what it costs in the release before: statements, WAL, time.

Each release has a database of its own, on which it makes the same calls. They take turns.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import previous_release
from tests.support.processes import scratch
from tests.support.server_process import ROOT, Database, manage_command

CALLS = 20  # in one turn
TURNS = 25
TIME_MAX = 1.4  # the fastest turn, compared with that of the release before; generous, for a loaded machine
WAL_MAX = 1.02  # with nine columns, the room for "is null" takes eight bytes more in each row of conversations
WAL_OF_POSTGRESQL = 1_000  # bytes that it writes by itself, as about running transactions
# Reads the name of an operation, calls it and prints the costs, until the input ends.
_CALLER = """
import json, sys, time
from django.db import connection
from django.test.utils import CaptureQueriesContext
from todo_mcp.core.operations import RESOURCES
TURN = [{"role": role, "content": "Remind me to call the bank on Friday."} for role in ("user", "assistant")]
def call(name, **arguments):
    operation = RESOURCES[name]
    return operation.run(operation.validate(arguments), user_id="user-0")
def written():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
        return int(cursor.fetchone()[0])
conversation = call("create_conversation").id
CALLS = {
    "create_conversation": {},
    "append_messages": {"conversation_id": conversation, "messages": TURN},
    "list_messages": {"conversation_id": conversation, "last": 20},
    "list_conversations": {},
}
for line in sys.stdin:
    name, count = line.split()
    with CaptureQueriesContext(connection) as queries:
        call(name, **CALLS[name])
    verbs = [query["sql"].split()[0] for query in queries.captured_queries]
    before, started = written(), time.process_time()
    for _ in range(int(count)):
        call(name, **CALLS[name])
    seconds = time.process_time() - started  # of the CPU: other load on the machine changes the wall clock more
    print(json.dumps({"statements": verbs, "wal": written() - before, "seconds": seconds}), flush=True)
"""
OPERATIONS = ["append_messages", "create_conversation", "list_conversations", "list_messages"]


class Release:
    """The service code of a checkout, in a process of its own."""

    def __init__(self, database: Database, root: Path) -> None:
        database.query("ALTER SYSTEM SET autovacuum = off")
        database.query("SELECT pg_reload_conf()")
        database.query("CHECKPOINT")
        command = manage_command("shell", "--no-imports", "-c", _CALLER, root=root)
        settings = database.environment(QUOTA_MESSAGES=1_000_000)
        self._process = subprocess.Popen(
            command, cwd=root, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def measure(self, name: str) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{name} {CALLS}\n")
        self._process.stdin.flush()
        costs: dict[str, Any] = json.loads(self._process.stdout.readline())
        return costs

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def releases() -> Iterator[tuple[Release, Release]]:
    with ExitStack() as stack:
        checkout, old, new = (stack.enter_context(scratch()) for _ in range(3))
        checkout.chmod(0o755)
        previous_release.check_out(checkout)
        databases = previous_release.OldDatabase(old / "postgres", checkout), Database(new / "postgres")
        pair = Release(databases[0], checkout), Release(databases[1], ROOT)
        yield pair
        for release, database in zip(pair, databases, strict=True):
            release.close()
            database.stop()


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_without_new_fields_costs_what_it_cost_before(releases: tuple[Release, Release], name: str) -> None:
    turns = [tuple(release.measure(name) for release in releases) for _ in range(TURNS)]
    for old, new in turns:
        assert new["statements"] == old["statements"]
    fastest = [min(costs["seconds"] for costs in each) for each in zip(*turns, strict=True)]
    assert fastest[1] <= TIME_MAX * fastest[0], fastest
    written = [sum(costs["wal"] for costs in each) for each in zip(*turns, strict=True)]
    assert written[1] <= WAL_MAX * written[0] + WAL_OF_POSTGRESQL, written
