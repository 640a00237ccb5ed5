"""What DATABASE_POOLER=transaction changes. `make cluster` shows with a real PgBouncer that this is enough."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from pytest_django.fixtures import Settings

from tasks.services import list_tasks
from tests.postgres.test_compiled import PREPARED, ask
from todo_mcp.configuration.database_settings import PREPARE_AFTER, database_settings
from todo_mcp.configuration.database_url import parse_database_url
from todo_mcp.postgres.connections import SESSION_LIMITS
from todo_mcp.process import startup
from todo_mcp.users.models import User

URL = "postgresql://todo:secret@db.internal:6432/todo"


@pytest.fixture
def no_prepared_statements(committed: None) -> Iterator[None]:
    """Configure the test's connection as the setting does."""
    options = connection.settings_dict["OPTIONS"]
    threshold = database_settings(parse_database_url(URL), data_dir=Path(), transaction_pooling=True)["OPTIONS"][
        "prepare_threshold"
    ]
    connection.close()
    before, options["prepare_threshold"] = options["prepare_threshold"], threshold
    yield
    options["prepare_threshold"] = before
    connection.close()


@pytest.mark.parametrize(("pooling", "threshold"), [(False, PREPARE_AFTER), (True, None)])
def test_behind_a_pooler_nothing_is_prepared_and_no_cursor_outlives_its_transaction(
    pooling: bool, threshold: int | None
) -> None:
    database = database_settings(parse_database_url(URL), data_dir=Path(), transaction_pooling=pooling)
    assert database["OPTIONS"]["prepare_threshold"] == threshold
    assert database["DISABLE_SERVER_SIDE_CURSORS"] is True


def test_a_pooler_without_an_address_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="set DATABASE_URL to the address of that pooler"):
        database_settings(None, data_dir=Path(), transaction_pooling=True)


def test_options_of_the_address_reach_the_database() -> None:
    """A migration uses this to run without the time limits of the role (docs/scaling.md)."""
    database = database_settings(parse_database_url(f"{URL}?options=-c%20statement_timeout%3D0"), data_dir=Path())
    assert database["OPTIONS"]["options"] == "-c statement_timeout=0"


def test_behind_a_pooler_compiled_statements_are_not_prepared(no_prepared_statements: None, alice: User) -> None:
    for _ in range(PREPARE_AFTER + 3):
        list_tasks(user_id="alice")
    assert ask(PREPARED) == 0


def test_behind_a_pooler_the_server_does_not_divide_the_connections(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TRANSACTION_POOLING, settings.DATABASE_CONNECTIONS = True, 1000
    startup.share_connections(workers=4)
    assert settings.DATABASE_CONNECTIONS == 1000
    assert not caplog.records


def test_the_limits_of_the_role_in_the_documents_are_those_of_a_session() -> None:
    text = Path(django_settings.BASE_DIR, "docs/scaling.md").read_text()
    limits = re.findall(r"^ALTER ROLE todo SET (\w+) = '(\d+)s';$", text, re.MULTILINE)
    assert {name: int(seconds) * 1000 for name, seconds in limits} == SESSION_LIMITS
