"""Behind a proxy: what a stranger sends through it is one request for the proxy and for us, and its paths are ours."""

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

from tests.security.test_paths import others
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
            client_body_in_file_only clean;  # sent apart from the head
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
    """The proxy, listening on this port."""
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
    """HAProxy with the configuration that operators are given, but for its addresses, certificate and user."""
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
    with proxy(program, "-f", str(tmp_path / "haproxy.cfg"), port=port, directory=tmp_path) as listening:

        def is_up() -> bool:
            return httpx2.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": HOST}).status_code == 200

        eventually(is_up, "HAProxy to find the server ready")
        yield listening


@pytest.fixture
def nginx(server: ServerProcess, tmp_path: Path) -> Iterator[int]:
    """nginx with connections that are used again, and the lines of its manual for WebSockets."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # or its worker may not write the body
    text = NGINX.format(user=user, directory=tmp_path, server=server.url.rpartition(":")[2], port=port)
    (tmp_path / "nginx.conf").write_text(text)
    arguments = ("-c", str(tmp_path / "nginx.conf"), "-e", "stderr", "-p", str(tmp_path))
    with proxy(program, *arguments, port=port, directory=tmp_path) as listening:
        yield listening


def status_of(port: int, target: str) -> int:
    """The status of a GET whose target is sent as it is."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        head = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        return int(connection.recv(4096).split()[1])


def test_no_spelling_of_what_is_inside_passes_haproxy(haproxy: int) -> None:
    for path in ("/metrics", "/readyz"):
        for target in (path, f"{path}/", f"{path}?x", path.upper(), *others(path)):
            if set(target) & set(" \xe9") or not target.startswith("/"):
                continue
            assert status_of(haproxy, target) in (400, 404), target


def test_what_users_need_passes_haproxy(haproxy: int) -> None:
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


def test_a_trailer_does_not_choose_the_address_that_sign_in_counts(haproxy: int) -> None:
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


def test_nobody_gets_an_answer_that_a_stranger_caused(nginx: int) -> None:
    """A body that looks like a request, after a head with an upgrade, on a connection that nginx uses again."""
    hidden = b"GET /admin/login/ HTTP/1.1\r\nHost: todo.example.com\r\n\r\n"  # a slow page
    head = b"POST /oauth/token HTTP/1.1\r\nHost: todo.example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    for _ in range(6):
        with (
            socket.create_connection(("127.0.0.1", nginx), PATIENCE) as stranger,
            socket.create_connection(("127.0.0.1", nginx), PATIENCE) as other,
        ):
            stranger.sendall(head + hidden)
            assert b"grant_type is missing" in stranger.recv(65_536)  # so it was read as the body that it is
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: todo.example.com\r\n\r\n")
            assert other.recv(65_536).endswith(b"\r\n\r\nok\n")


def test_a_request_with_an_upgrade_keeps_its_body_behind_nginx(nginx: int, database: Database) -> None:
    _, token = database.new_user()
    headers = {"Host": HOST, "Authorization": f"Bearer {token}", "Connection": "Upgrade", "Upgrade": "h2c"}
    url = f"http://127.0.0.1:{nginx}/api/tools/add_task"
    answer = httpx2.post(url, json={"title": "Buy milk"}, headers=headers, timeout=PATIENCE)
    assert answer.json()["data"]["title"] == "Buy milk"
