"""The release before writes while tables are migrated forward and back. No write is refused, late or lost."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.server_process import ROOT

ROWS = 20_000
LIMIT = 5.0  # seconds; `make migrate-busy` has a stricter one


@pytest.mark.parametrize("kind", ["tasks", "messages"])
def test_the_release_before_writes_during_migrations_forward_and_back(kind: str) -> None:
    # Without either of these, the process starts a PostgreSQL of its own.
    inherited = ("DATABASE_URL", "PYTEST_XDIST_WORKER")
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    command = [sys.executable, "-W", "ignore", "-m", "tests.postgres.busy_migration", kind, str(ROWS), str(LIMIT)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert (report["errors"], report["lost"]) == ([], [])
    assert report["calls"] > 100
