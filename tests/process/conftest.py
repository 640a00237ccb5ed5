"""Fixtures of tests with real `manage.py` processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.support.manage import Manage
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

Start = Callable[..., Manage]


@pytest.fixture
def url(committed: None) -> str:
    """The migrated test database."""
    return url_of(connection.settings_dict["NAME"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `manage.py` with these arguments. Processes that still run at the end of the test are killed."""
    processes: list[Manage] = []

    def start(*arguments: str, **environment: object) -> Manage:
        processes.append(Manage(tmp_path, *arguments, **environment))  # type: ignore[arg-type]
        return processes[-1]

    yield start
    for process in processes:
        process.clean_up()


@pytest.fixture
def alices_token(url: str, alice: User) -> str:
    return issue_token(user_id="alice")


def url_of(name: str) -> str:
    connection.ensure_connection()
    info = connection.connection.info
    return f"postgresql://{info.user}@/{name}?host={info.host}&port={info.port}"
