"""`manage.py serve` as a process: how it starts, how it refuses to start, and how it ends."""

import errno
import signal
import socket
import time
from pathlib import Path
from typing import NoReturn

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from tests.process.conftest import Start, url_of
from tests.support.processes import eventually, free_port
from tests.support.server_process import status_of
from todo_mcp.process import startup
from todo_mcp.process.server import PortUnavailable, bind


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_fails_readiness_first_and_lets_the_running_call_finish(
    start: Start, url: str, alices_token: str, workers: str
) -> None:
    server = start("serve", "--workers", workers, DATABASE_URL=url, DRAIN_SECONDS=1).wait_ready()
    call = server.begin_call(alices_token)
    server.process.terminate()
    eventually(lambda: server.get("/readyz") == 503, "readiness to fail")
    assert server.get("/healthz") == 200
    eventually(lambda: server.get("/healthz") is None, "the port to close")
    answer = call.finish()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert b'"status":"success"' in answer
    assert server.process.wait(10) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_ctrl_c_ends_the_server_at_once(start: Start, url: str, alices_token: str, workers: str) -> None:
    server = start("serve", "--workers", workers, DATABASE_URL=url, DRAIN_SECONDS=60).wait_ready()
    call = server.begin_call(alices_token)
    server.process.send_signal(signal.SIGINT)
    eventually(lambda: server.get("/readyz") == 503, "readiness to fail")
    start_time = time.monotonic()
    server.end(signal.SIGINT)
    assert time.monotonic() - start_time < 5  # it waits neither 10 s for the call nor 60 s for draining
    assert call.finish() == b""


def test_the_printed_address_contains_another_port(start: Start, url: str) -> None:
    port = free_port()
    server = start("serve", "--port", str(port), DATABASE_URL=url)
    server.port = port
    assert server.line("Serving ") == f"http://localhost:{port} on localhost port {port}. Ctrl-C stops it."
    server.wait_ready()
    assert server.end() == 0


PRODUCTION = {
    "ENVIRONMENT": "production",
    "PUBLIC_URL": "https://todo.example.com",
    "SECRET_KEY": "served-by-a-test-" + "0123456789" * 5,
}


@pytest.mark.parametrize(
    ("arguments", "environment", "where", "is_open"),
    [
        ([], {}, "localhost port", False),
        (["--host", "0.0.0.0"], {}, "0.0.0.0 port", True),
        ([], PRODUCTION, "all addresses, port", True),
        (["--host", "localhost"], PRODUCTION, "localhost port", False),
        (["--host", "127.0.0.1"], PRODUCTION, "127.0.0.1 port", False),
    ],
)
def test_the_server_listens_on_all_addresses_in_production_and_on_localhost_in_development(
    start: Start, url: str, arguments: list[str], environment: dict[str, str], where: str, is_open: bool
) -> None:
    """127.0.0.2 is an address of this machine, but not localhost."""
    server = start("serve", *arguments, DATABASE_URL=url, **environment)
    public_url = environment.get("PUBLIC_URL", f"http://localhost:{server.port}")
    assert server.line("Serving ") == f"{public_url} on {where} {server.port}. Ctrl-C stops it."
    eventually(lambda: status_of(f"http://127.0.0.1:{server.port}/healthz"), "the server")
    assert (status_of(f"http://127.0.0.2:{server.port}/healthz") is not None) is is_open
    assert server.end() == 0


def test_no_host_means_all_addresses_of_both_families() -> None:
    """A machine may lack IPv6. Neither family's socket serves the other, so both have the same port."""
    port = free_port()
    sockets = bind("", port)
    try:
        addresses = {sock.getsockname()[:2] for sock in sockets}
        has_ipv6 = any(address[0] == "::" for address in addresses)
        assert addresses == {("0.0.0.0", port)} | ({("::", port)} if has_ipv6 else set())
        assert has_ipv6 or not Path("/proc/net/if_inet6").exists()
    finally:
        for sock in sockets:
            sock.close()


def test_a_port_in_use_is_reported(start: Start, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refusal = start("serve", DATABASE_URL=url, MCP_SERVER_PORT=port).refusal()
    assert refusal == (
        f"CommandError: Port {port} is taken by another program. Stop it, or set MCP_SERVER_PORT to a free port."
    )


def test_on_macos_a_taken_port_5000_is_explained_with_another_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*address: object) -> NoReturn:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr("todo_mcp.process.server._listen", taken)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(PortUnavailable, match=r"AirPlay Receiver.*MCP_SERVER_PORT to another port, like 5001"):
        bind("localhost", 5000)
    with pytest.raises(PortUnavailable, match="Port 5001 is taken by another program"):
        bind("localhost", 5001)


def test_a_host_that_is_not_this_machine_is_reported() -> None:
    with pytest.raises(PortUnavailable, match=r"cannot listen on port 0 of 192\.0\.2\.1: Cannot assign"):
        bind("192.0.2.1", 0)


def test_unapplied_migrations_are_reported(start: Start, url: str) -> None:
    refusal = start("serve", DATABASE_URL=url_of("postgres")).refusal()
    assert refusal.startswith("CommandError: Unapplied migrations: ")
    assert refusal.endswith(" more. Run `manage.py migrate`, then start again.")


def test_an_unreachable_database_is_reported(start: Start) -> None:
    refusal = start("serve", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").refusal()
    assert refusal.startswith("CommandError: DATABASE_URL names a database that cannot be used (Connection refused); ")


@pytest.mark.django_db
@pytest.mark.parametrize(("workers", "share"), [(1, 92), (4, 23), (200, 1)])
def test_workers_share_the_connections_of_the_database(
    settings: Settings, caplog: pytest.LogCaptureFixture, workers: int, share: int
) -> None:
    settings.DATABASE_CONNECTIONS = 1000  # PostgreSQL has 100 and reserves 3; the server leaves 5 free
    startup.share_connections(workers)
    assert share == settings.DATABASE_CONNECTIONS
    assert f"from 1000 to {share} for each worker" in caplog.text


@pytest.mark.django_db
def test_a_connection_limit_within_the_reach_of_the_database_is_not_lowered(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    startup.share_connections(workers=2)
    assert settings.DATABASE_CONNECTIONS == 4  # the value in the settings of the tests
    assert not caplog.records


@pytest.mark.django_db
def test_a_database_that_may_lose_acknowledged_changes_is_a_warning_at_the_start(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    startup.warn_about_durability()
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "synchronous_commit" in record.getMessage()
    monkeypatch.setattr(startup, "DURABILITY", ("autovacuum",))  # a setting that is on
    startup.warn_about_durability()
    assert len(caplog.records) == 1
