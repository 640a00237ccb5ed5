"""Fixtures of all tests: the users, their tokens, and the real ASGI application with its clients."""

import os
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from django.db import connection, transaction
from django.test.utils import setup_databases, teardown_databases
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import DjangoDbBlocker

from tests.support.application import Application, Orm, application_client, running
from tests.support.caller import Caller
from tests.support.factories import UserFactory
from tests.support.processes import scratch
from tests.support.server_process import Database
from todo_mcp.auth import rate_limit
from todo_mcp.auth.tokens import issue_token
from todo_mcp.postgres.health.diagnosis import faults
from todo_mcp.postgres.health.tables import WRONG_FOR, tables
from todo_mcp.process.installation import install
from todo_mcp.quotas.usage import usages
from todo_mcp.statistics.token_days import token_days
from todo_mcp.users.models import User

pytest_plugins = ["tests.support.auth.fixtures"]

# HYPOTHESIS_PROFILE=longer or nightly tries more examples. No deadline: on a loaded machine, slow is not wrong.
hypothesis_settings.register_profile("default", deadline=None, max_examples=40, stateful_step_count=30)
hypothesis_settings.register_profile("longer", deadline=None, max_examples=320, stateful_step_count=30)
hypothesis_settings.register_profile("nightly", deadline=None, max_examples=2000, stateful_step_count=50)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def library_changes() -> None:
    """Install the server's changes to libraries. Tests that use the gate without the application need them."""
    install()


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Each test starts with no recorded calls, attempts and usage, and with a sound database."""
    usages.clear()
    token_days.take()  # the ids of tokens begin anew, so a count could be of another user's token
    rate_limit.calls.clear()
    rate_limit.attempts.clear()
    # For some seconds, these would remember that a test let a table be missing, or the database be read-only.
    tables._wrong_at = -WRONG_FOR
    faults._met.clear()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The migrated test database. pytest-django's own fixture creates one only for tests with its marker."""
    with django_db_blocker.unblock():
        databases = setup_databases(verbosity=0, interactive=False)
        yield
        teardown_databases(databases, verbosity=0)


@pytest.fixture(scope="session")
def clear_tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> str:
    """SQL that empties every table that a test may write to. With few rows it is ten times as fast as TRUNCATE.

    Foreign keys are deferred, except the one from tasks to conversations, so tasks go first. Their history goes last.
    """
    permanent = {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        names = sorted(
            set(connection.introspection.table_names(cursor)) - permanent,
            key=lambda table: (table != "tasks", "event" in table),
        )
        sequences = [sequence for table in names for sequence in connection.introspection.get_sequences(cursor, table)]
    deletes = "; ".join(f'DELETE FROM "{table}"' for table in names)
    restarts = ", ".join(f"setval('\"{sequence['name']}\"', 1, false)" for sequence in sequences)
    return f"{deletes}; SELECT {restarts}"


@pytest.fixture
def committed(clear_tables: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database whose changes are committed, so that other threads see them. It is emptied at the end."""
    with django_db_blocker.unblock():
        yield
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(clear_tables)
        connection.close()


@pytest.fixture
def orm(committed: None) -> Iterator[Orm]:
    orm = Orm()
    yield orm
    orm.close()


@pytest.fixture
def alice() -> User:
    """The owner in most tests. Request `db` or `committed` before her."""
    return UserFactory.create(id="alice", name="Alice")


@pytest.fixture
def bob() -> User:
    return UserFactory.create(id="bob", name="Bob")


@pytest.fixture
def charlie() -> User:
    return UserFactory.create(id="charlie", name="Charlie")


@pytest.fixture
def operator() -> User:
    """A superuser of the admin."""
    return User.objects.create_superuser("operator", "correct horse battery staple")


@pytest.fixture
async def http(committed: None, anyio_backend: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with application_client() as client:
        yield client


@pytest.fixture
def application(committed: None) -> Iterator[Application]:
    """The real ASGI application, for synchronous tests."""
    with running() as application:
        yield application


@pytest.fixture
def as_alice(http: httpx2.AsyncClient, alice: User) -> Caller:
    return Caller(http, issue_token(user_id="alice"))


@pytest.fixture
def as_bob(http: httpx2.AsyncClient, bob: User) -> Caller:
    return Caller(http, issue_token(user_id="bob"))


@pytest.fixture
def as_service(http: httpx2.AsyncClient) -> Caller:
    """A chat backend that may act for any user."""
    return Caller(http, issue_token(service="chat"))


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A migrated PostgreSQL for servers that run as separate processes."""
    with scratch() as directory:
        database = Database(directory / "postgres")
        yield database
        database.stop()
