"""Desktop clients that start commands: the blocks of docs/connecting.md, with the bridge that they name."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync
from mcp.shared.exceptions import MCPError

from tests.e2e.desktop import Desktop, documented, relay
from tests.e2e.person import Person
from tests.e2e.programs import HERE
from tests.e2e.walk import check_calls, walk_with
from tests.support.auth.client_documents import certificates
from tests.support.mcp_messages import HANDSHAKE
from tests.support.processes import PATIENCE, free_port
from tests.support.server_process import Database, ServerProcess
from todo_mcp.process.client_lines import BRIDGE

pytestmark = pytest.mark.anyio
BLOCKS = documented()
LEGACY, MODERN = (), ("--protocol", "auto")  # whether the bridge speaks the newest revision with the server
# The bridge takes only localhost and 127.0.0.1 for its own computer, so 127.0.0.2 is another one to it.
RELAYS = {"home": "http://127.0.0.2", "https": "https://localhost"}
Serve = Callable[..., ServerProcess]


@pytest.fixture
def serve(database: Database, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server for this test."""
    servers: list[ServerProcess] = []

    def start(**settings: object) -> ServerProcess:
        servers.append(ServerProcess(database, tmp_path / f"server-{len(servers)}.log", LOG_LEVEL="INFO", **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def desktop(node: Path, tmp_path: Path) -> Callable[..., Desktop]:
    def make(place: str, way: str, **options: object) -> Desktop:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        return Desktop(BLOCKS[place, way], node, home, **options)  # type: ignore[arg-type] # the tests name them

    return make


@asynccontextmanager
async def place_of(place: str, serve: Serve, directory: Path) -> AsyncIterator[tuple[ServerProcess, str, Path]]:
    """A server, its address for a block of this place, and the authority of its certificate."""
    authority, certificate = certificates(directory)
    if place == "localhost":
        server = serve()
        yield server, server.url.replace("127.0.0.1", "localhost"), authority
        return
    address = f"{RELAYS[place]}:{free_port()}"
    server = serve(PUBLIC_URL=address)
    async with relay(address, int(server.url.rpartition(":")[2]), certificate):
        yield server, address, authority


def test_the_page_has_a_block_for_each_place_with_the_installed_bridge() -> None:
    assert sorted(BLOCKS) == [
        ("home", "token"),
        ("https", "sign-in"),
        ("https", "token"),
        ("localhost", "sign-in"),
        ("localhost", "token"),
    ]
    installed = json.loads((HERE / "package.json").read_text())["dependencies"]["mcp-remote"]
    assert f"mcp-remote@{installed}" == BRIDGE
    for command in BLOCKS.values():
        assert (command["command"], command["args"][:2]) == ("npx", ["-y", BRIDGE])
        assert not any(" " in argument for argument in command["args"]), "some clients break it on Windows"


@pytest.mark.parametrize("more", [LEGACY, MODERN], ids=["handshake", "newest"])
@pytest.mark.parametrize("place", ["localhost", "home", "https"])
async def test_a_desktop_client_uses_every_tool_with_a_token(
    serve: Serve, desktop: Callable[..., Desktop], database: Database, tmp_path: Path, place: str, more: tuple[str, ...]
) -> None:
    user, token = database.new_user()
    async with place_of(place, serve, tmp_path) as (server, address, ca):
        client = desktop(place, "token", address=address, token=token, more=more, ca=ca)
        with anyio.fail_after(PATIENCE):
            async with client.connected() as connection:
                check_calls(await walk_with(connection), HANDSHAKE[-1:])
    name = f"claude-ai (via {BRIDGE.replace('@', ' ')}) 0.1.0"
    assert {line["client"] for line in server.log_lines() if line["message"] == "call"} == {name}
    history = "SELECT DISTINCT pgh_context->>'client' FROM task_events WHERE user_id = %s"
    assert database.query(history, user) == [(name,)]


@pytest.mark.parametrize("place", ["localhost", "https"])
async def test_a_desktop_client_signs_in_once_in_the_browser_and_uses_every_tool(
    serve: Serve, desktop: Callable[..., Desktop], database: Database, tmp_path: Path, place: str
) -> None:
    person = Person.new(database)
    async with place_of(place, serve, tmp_path) as (_, address, ca):
        client = desktop(place, "sign-in", address=address, ca=ca)
        with anyio.fail_after(2 * PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run_sync, lambda: person.allow(client.question()))
                async with client.connected() as connection:
                    check_calls(await walk_with(connection), HANDSHAKE[-1:])
            client.log.unlink()
            async with client.connected() as again:
                assert (await again.call_tool("list_tasks", {"status": "deleted"})).structured_content
    assert "/oauth/authorize" not in client.log_text()


async def test_calls_go_on_after_a_restart_and_fail_at_once_while_the_server_is_away(
    serve: Serve, desktop: Callable[..., Desktop], token: str
) -> None:
    server = serve()
    client = desktop("localhost", "token", address=server.url, token=token)
    async with client.connected() as connection:
        await connection.call_tool("add_task", {"title": "Buy milk"})
        await run_sync(server.close)
        with anyio.fail_after(10), pytest.raises(MCPError, match="mcp-remote: fetch failed"):
            await connection.call_tool("list_tasks", {})
        await run_sync(server.restart)
        listing = (await connection.call_tool("list_tasks", {})).structured_content or {}
        assert listing["data"]["total"] == 1


async def test_a_client_that_starts_while_the_server_is_away_is_told_at_once(desktop: Callable[..., Desktop]) -> None:
    client = desktop("localhost", "token", address=f"http://localhost:{free_port()}", token="any")
    await _fails(client)
    assert "ECONNREFUSED" in client.log_text()


async def test_an_address_that_is_not_public_url_is_refused_with_advice(
    serve: Serve, desktop: Callable[..., Desktop], token: str, tmp_path: Path
) -> None:
    server, address = serve(), f"{RELAYS['home']}:{free_port()}"
    client = desktop("home", "token", address=address, token=token)
    async with relay(address, int(server.url.rpartition(":")[2]), tmp_path):
        await _fails(client)
    assert "This server does not answer for that Host" in client.log_text()


async def test_the_bridge_refuses_to_finish_a_sign_in_over_http_from_home(
    serve: Serve, desktop: Callable[..., Desktop], database: Database, tmp_path: Path
) -> None:
    person = Person.new(database)
    async with place_of("home", serve, tmp_path) as (_, address, _), anyio.create_task_group() as tasks:
        client = desktop("localhost", "sign-in", address=address, more=("--allow-http",))
        tasks.start_soon(run_sync, lambda: person.allow(client.question()))
        await _fails(client)
    assert "Refusing to send credentials to non-https token endpoint" in client.log_text()


async def _fails(client: Desktop) -> None:
    """The client learns that it is not connected; it does not wait in vain."""
    with anyio.fail_after(PATIENCE), pytest.raises((MCPError, ExceptionGroup)):
        async with client.connected():
            pass


async def test_a_wrong_token_opens_the_page_for_sign_in(
    server: ServerProcess, desktop: Callable[..., Desktop], token: str
) -> None:
    client = desktop("localhost", "token", address=server.url.replace("127.0.0.1", "localhost"), token=f"{token}x")
    with anyio.move_on_after(PATIENCE) as scope:
        async with anyio.create_task_group() as tasks:

            async def look() -> None:
                await run_sync(client.question)
                scope.cancel()

            tasks.start_soon(look)
            async with client.connected():
                pass
    assert "/oauth/authorize?" in client.log_text()
