"""`make run` for a network: it prints the one line that opens the server, and this line is enough."""

import re

import httpx2
import pytest
from pytest_django.fixtures import Settings

from tests.process.conftest import Start
from tests.support.processes import PATIENCE
from todo_mcp.process.home_network import notice
from todo_mcp.users.models import User

LOCAL, NAMED, PROXY = "http://localhost:5000", "http://nas.local:5000", "https://nas.local"
NOTICES = [  # the host to listen on, PUBLIC_URL, and how the notice begins
    ("localhost", LOCAL, ""),
    ("127.0.0.1", "http://127.0.0.1:5000", ""),
    ("::1", "http://[::1]:5000", ""),
    ("localhost", PROXY, ""),
    ("0.0.0.0", PROXY, ""),
    ("0.0.0.0", LOCAL, "Other machines get the answer 421"),
    ("192.168.1.5", LOCAL, "Other machines get the answer 421"),
    ("localhost", NAMED, "Only this machine can connect"),
    ("0.0.0.0", NAMED, "Everybody in your network can try this server"),
]


@pytest.mark.parametrize(("host", "url", "beginning"), NOTICES, ids=[f"{host} {url}" for host, url, _ in NOTICES])
def test_the_notice_says_what_is_missing_or_open(settings: Settings, host: str, url: str, beginning: str) -> None:
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = url, ["localhost", "127.0.0.1", "[::1]"]
    said = notice(host)
    assert said.strip().startswith(beginning) and bool(said) is bool(beginning)


def test_a_name_in_allowed_hosts_also_opens_the_server(settings: Settings) -> None:
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = LOCAL, ["localhost", "[::1]", "nas.local"]
    assert notice("0.0.0.0").strip().startswith("Everybody in your network can try this server")


@pytest.mark.parametrize(("port", "prefix"), [(5000, ""), (5001, "MCP_SERVER_PORT=5001 ")], ids=["5000", "5001"])
def test_the_line_names_a_port_that_is_not_the_default(settings: Settings, port: int, prefix: str) -> None:
    settings.PUBLIC_URL, settings.MCP_SERVER_PORT = f"http://nas.local:{port}", port
    assert f'\n  {prefix}PUBLIC_URL=http://nas.local:{port} make run ARGS="--host 0.0.0.0"\n' in notice("localhost")


def test_the_printed_line_opens_the_server_under_that_address_only(start: Start, url: str, alice: User) -> None:
    settings = {"DATABASE_URL": url, "USER": "alice", "LOGNAME": "alice"}
    closed = start("run", "--host", "0.0.0.0", **settings).wait_ready()
    printed = re.search(r'PUBLIC_URL=(\S+) make run ARGS="(.*)"', closed.output())
    assert printed
    assert httpx2.get(printed[1], timeout=PATIENCE).status_code == 421
    assert closed.end() == 0

    port = int(printed[1].rpartition(":")[2])
    opened = start("run", *printed[2].split(), **settings, PUBLIC_URL=printed[1], MCP_SERVER_PORT=port)
    opened.port = port
    headers = {"Authorization": f"Bearer {opened.wait_ready().line('Token: ')}"}
    tool = f"{printed[1]}/api/tools/list_tasks"
    assert httpx2.post(tool, json={}, headers=headers, timeout=PATIENCE).json()["status"] == "success"
    assert httpx2.post(tool, json={}, headers=headers | {"Host": "evil.example"}, timeout=PATIENCE).status_code == 421
    assert opened.end() == 0
