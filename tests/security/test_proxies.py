"""Behind a proxy: the proxy and the server agree where a request ends and which path it names."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.security.test_paths import other_spellings
from tests.support.processes import PATIENCE, eventually, free_port
from tests.support.server_process import ROOT, Database, ServerProcess

HOST = "todo.example.com"
NGINX = """
daemon off; {user} error_log stderr warn; pid {directory}/nginx.pid; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    upstream todo {{ server 127.0.0.1:{server}; keepalive 1; }}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://todo; proxy_http_version 1.1; proxy_set_header Host $host;
            client_body_in_file_only clean;  # so the body is sent separately from the head
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("proxied") / "log"
    hosts = f"{HOST},127.0.0.1"
    server = ServerProcess(database, log, ALLOWED_HOSTS=hosts, FORWARDED_ALLOW_IPS="127.0.0.1", DATABASE_CONNECTIONS=4)
    yield server
    server.close()


@contextlib.contextmanager
def proxy(program: str, *arguments: str, port: int, directory: Path) -> Iterator[int]:
    """Run the proxy on this port."""
    with (directory / "proxy.log").open("w+b") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
        try:

            def listens() -> bool:
                log.seek(0)
                assert process.poll() is None, log.read().decode()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return True
                return False

            eventually(listens, f"{program} to listen")
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.fixture
def haproxy(server: ServerProcess, tmp_path: Path) -> Iterator[int]:
    """HAProxy with the configuration in the documents. Only its addresses, certificate and user differ."""
    program = shutil.which("haproxy")
    if program is None:
        pytest.skip("HAProxy is not installed: apt-get install haproxy")
    port = free_port()
    text = (ROOT / "docs/examples/haproxy.cfg").read_text()
    text = re.sub(r"(?m)^ +(user|group|stats socket|server b) .*\n", "", text)
    text = re.sub(r"bind 10\.0\.0\.10:443 .*", f"bind 127.0.0.1:{port}", text)
    text = text.replace("10.0.0.11:5000", server.url.removeprefix("http://"))
    assert "10.0.0" not in text
    (tmp_path / "haproxy.cfg").write_text(text)
    with proxy(program, "-f", str(tmp_path / "haproxy.cfg"), port=port, directory=tmp_path) as proxy_port:

        def is_up() -> bool:
            return httpx2.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": HOST}).status_code == 200

        eventually(is_up, "HAProxy to find the server ready")
        yield proxy_port


@pytest.fixture
def nginx(server: ServerProcess, tmp_path: Path) -> Iterator[int]:
    """nginx with reused connections to the server, and the lines for WebSockets from its manual."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # otherwise its worker may not be allowed to write the body
    text = NGINX.format(user=user, directory=tmp_path, server=server.url.rpartition(":")[2], port=port)
    (tmp_path / "nginx.conf").write_text(text)
    arguments = ("-c", str(tmp_path / "nginx.conf"), "-e", "stderr", "-p", str(tmp_path))
    with proxy(program, *arguments, port=port, directory=tmp_path) as proxy_port:
        yield proxy_port


def status_of(port: int, target: str) -> int:
    """Send a GET with this target unchanged and return the status."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        head = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        return int(connection.recv(4096).split()[1])


def test_haproxy_blocks_every_spelling_of_an_internal_path(haproxy: int) -> None:
    for path in ("/metrics", "/readyz"):
        for target in (path, f"{path}/", f"{path}?x", path.upper(), *other_spellings(path)):
            if set(target) & set(" \xe9") or not target.startswith("/"):
                continue
            assert status_of(haproxy, target) in (400, 404), target


def test_haproxy_passes_the_paths_that_users_need(haproxy: int) -> None:
    for path, status in (
        ("/healthz", 200),
        ("/mcp", 401),
        ("/mcp/", 401),
        ("/api/docs", 200),
        ("/api/tools/list_tasks", 401),
        ("/admin", 301),
        ("/admin/login/", 200),
        ("/oauth/sign-in", 200),
        ("/.well-known/oauth-authorization-server", 200),
        ("/static/todo_mcp/account.css", 200),
    ):
        assert status_of(haproxy, path) == status, path


def test_a_trailer_cannot_change_the_address_for_which_sign_in_attempts_are_counted(haproxy: int) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{haproxy}", headers={"Host": HOST}) as http:
        token = http.get("/oauth/sign-in").cookies["csrftoken"]
    body = f"username=trailer&password=wrong&csrfmiddlewaretoken={token}".encode()
    answers = []
    for n in range(6):
        head = (
            f"POST /oauth/sign-in HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nCookie: csrftoken={token}\r\n"
            f"Referer: https://{HOST}/oauth/sign-in\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        trailer = f"X-Forwarded-For: 192.0.2.{n}\r\nX-Forwarded-Proto: https\r\n\r\n"
        with socket.create_connection(("127.0.0.1", haproxy), PATIENCE) as connection:
            connection.sendall(head.encode() + b"%x\r\n%b\r\n0\r\n" % (len(body), body) + trailer.encode())
            answers.append(int(connection.recv(4096).split()[1]))
    assert answers == [200] * 4 + [429] * 2


def test_no_client_gets_the_answer_to_a_request_hidden_in_a_strangers_body(nginx: int) -> None:
    """A body looks like a request, its head asks for an upgrade, and nginx reuses the connection."""
    hidden = b"GET /admin/login/ HTTP/1.1\r\nHost: todo.example.com\r\n\r\n"  # a slow page
    head = b"POST /oauth/token HTTP/1.1\r\nHost: todo.example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    for _ in range(6):
        with (
            socket.create_connection(("127.0.0.1", nginx), PATIENCE) as stranger,
            socket.create_connection(("127.0.0.1", nginx), PATIENCE) as other,
        ):
            stranger.sendall(head + hidden)
            assert b"grant_type is missing" in stranger.recv(65_536)  # so the server read it as a body
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: todo.example.com\r\n\r\n")
            assert other.recv(65_536).endswith(b"\r\n\r\nok\n")


def test_a_request_with_an_upgrade_keeps_its_body_behind_nginx(nginx: int, database: Database) -> None:
    _, token = database.new_user()
    headers = {"Host": HOST, "Authorization": f"Bearer {token}", "Connection": "Upgrade", "Upgrade": "h2c"}
    url = f"http://127.0.0.1:{nginx}/api/tools/add_task"
    answer = httpx2.post(url, json={"title": "Buy milk"}, headers=headers, timeout=PATIENCE)
    assert answer.json()["data"]["title"] == "Buy milk"
