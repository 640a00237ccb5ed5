"""``kill -9`` during a restore leaves the old data or all of the new. `make operating` kills at more moments."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backup.machine import Machine, members
from tests.support.processes import eventually, scratch

LARGE = """
    INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)
    SELECT 'alice', repeat('x', 200), '', false, now(), now() FROM generate_series(1, 20000)
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
# What has happened when the command is killed.
_COPIES = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %'"
MOMENTS = {
    "it loads rows": _COPIES,
    "it has committed": "SELECT to_regclass('tasks') IS NOT NULL",
}
SHARES = [0.5, 0.7, 0.8, 0.9] if os.environ.get("TODO_TEST_OPERATING") == "all" else []  # of the time of a restore


@pytest.fixture(scope="module")
def large(backup_file: Path, create_database: Callable[..., str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A backup with many tasks, and its checksums."""
    with scratch() as directory:
        source = Machine(directory / "source", create_database())
        source.manage("restore", backup_file)
        source.query(LARGE)
        source.manage("backup", directory / "large.tar")
        yield directory / "large.tar", source.checksums()


@pytest.fixture(scope="module")
def seconds(large: tuple[Path, dict[str, str]], create_database: Callable[..., str]) -> float:
    """How long its restore takes."""
    with scratch() as directory:
        began = time.monotonic()
        Machine(directory / "target", create_database()).manage("restore", large[0])
        return time.monotonic() - began


@pytest.mark.parametrize("moment", [*MOMENTS, *SHARES])
def test_kill_9_leaves_the_old_data_or_all_of_the_new(
    large: tuple[Path, dict[str, str]], fresh: Machine, moment: str | float, request: pytest.FixtureRequest
) -> None:
    pause = 0 if isinstance(moment, str) else moment * request.getfixturevalue("seconds")
    process = fresh.popen("restore", large[0])
    if isinstance(moment, str):
        eventually(lambda: fresh.query(MOMENTS[moment]) == [(True,)], moment)
    time.sleep(pause)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    was_complete = complete(fresh, large)
    if isinstance(moment, str):
        assert process.returncode == -signal.SIGKILL, "it was killed before its end"
        assert was_complete == (moment == "it has committed")


def complete(machine: Machine, large: tuple[Path, dict[str, str]]) -> bool:
    """Do what the documents say after a kill. Returns whether the new data was there."""
    path, expected = large
    eventually(lambda: machine.query(OTHERS) == [(0,)], "the end of the killed command's connections")
    was_there = not machine.is_empty()
    if was_there:
        assert set(machine.secrets()) == {"secret_key", "token"}
        machine.manage("migrate", "-v0")
    else:
        machine.manage("restore", path)
    assert machine.checksums() == expected
    assert machine.secrets()["token"].encode() == members(path)["token"]
    return was_there
