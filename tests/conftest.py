"""Fixtures of all tests: the cast, their tokens, and the real ASGI application with clients that speak to it."""

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
from todo_mcp.process.installation import install
from todo_mcp.users.models import User

pytest_plugins = ["tests.support.auth.fixtures"]

# HYPOTHESIS_PROFILE=nightly looks longer. No deadline: a loaded machine is slow, not wrong.
hypothesis_settings.register_profile("default", deadline=None, max_examples=100, stateful_step_count=30)
hypothesis_settings.register_profile("nightly", deadline=None, max_examples=2000, stateful_step_count=50)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """What the server changes in libraries, for tests that use the gate without the application."""
    install()


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """Each test begins with no calls and no attempts on record."""
    rate_limit.calls.clear()
    rate_limit.attempts.clear()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The test database, migrated. pytest-django's own makes one only where a test has its marker."""
    with django_db_blocker.unblock():
        databases = setup_databases(verbosity=0, interactive=False)
        yield
        teardown_databases(databases, verbosity=0)


@pytest.fixture(scope="session")
def clear_tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> str:
    """SQL that empties every table that a test may write to; ten times as fast as TRUNCATE where there is little.

    Foreign keys are deferred, but for the one from tasks to conversations, so tasks go first; their history goes last.
    """
    kept = {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        tables = sorted(
            set(connection.introspection.table_names(cursor)) - kept,
            key=lambda table: (table != "tasks", "event" in table),
        )
        owned = [found for table in tables for found in connection.introspection.get_sequences(cursor, table)]
    deleted = "; ".join(f'DELETE FROM "{table}"' for table in tables)
    restarted = ", ".join(f"setval('\"{sequence['name']}\"', 1, false)" for sequence in owned)
    return f"{deleted}; SELECT {restarted}"


@pytest.fixture
def committed(clear_tables: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database whose changes other threads see. It is empty again at the end."""
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
    """Owns things. Needs `db` or `committed` first."""
    return UserFactory.create(id="alice", name="Alice")


@pytest.fixture
def bob() -> User:
    return UserFactory.create(id="bob", name="Bob")


@pytest.fixture
def charlie() -> User:
    return UserFactory.create(id="charlie", name="Charlie")


@pytest.fixture
def operator() -> User:
    """Signs in to the admin and may do everything there."""
    return User.objects.create_superuser("operator", "correct horse battery staple")


@pytest.fixture
async def http(committed: None, anyio_backend: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with application_client() as client:
        yield client


@pytest.fixture
def application(committed: None) -> Iterator[Application]:
    """The real ASGI application, for tests that are not asynchronous."""
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
    """A migrated PostgreSQL for servers that are processes of their own."""
    with scratch() as directory:
        database = Database(directory / "postgres")
        yield database
        database.stop()
