"""A real server for the adapters in docs/examples. `make examples` installs the SDKs and runs these tests."""

from collections.abc import AsyncIterator, Iterator

import pytest
from agents import set_tracing_disabled
from chatkit_store import TodoStore
from conversations_client import Conversations

from tests.examples.faulty_network import FaultyNetwork
from tests.support.server_process import Database, ServerProcess

set_tracing_disabled(True)  # it would send each run to the SDK's vendor


@pytest.fixture(scope="session")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(database, tmp_path_factory.mktemp("log") / "server.log")
    yield server
    server.close()


@pytest.fixture
def network(server: ServerProcess) -> Iterator[FaultyNetwork]:
    with FaultyNetwork(server.url) as network:
        yield network


@pytest.fixture
def user(database: Database) -> str:
    """The id of a user that no other test uses."""
    return database.new_user()[0]


@pytest.fixture
def token(database: Database) -> str:
    """The token of a chat backend, which acts for all users."""
    return database.service_token


@pytest.fixture
async def conversations(server: ServerProcess, token: str, anyio_backend: str) -> AsyncIterator[Conversations]:
    conversations = Conversations(server.url, token)
    yield conversations
    await conversations.http.aclose()


@pytest.fixture
async def unsteady(network: FaultyNetwork, token: str, anyio_backend: str) -> AsyncIterator[Conversations]:
    """The same, through a network that fails when told to."""
    conversations = Conversations(network.url, token)
    yield conversations
    await conversations.http.aclose()


@pytest.fixture
async def store(server: ServerProcess, token: str, anyio_backend: str) -> AsyncIterator[TodoStore]:
    store = TodoStore(server.url, token)
    yield store
    await store.todo.http.aclose()
