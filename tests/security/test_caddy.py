"""Behind Caddy with the file of the documents: https with its own certificate authority, and only the known paths."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.security.test_paths import other_spellings
from tests.security.test_proxies import proxy
from tests.support.processes import PATIENCE, eventually, free_port
from tests.support.server_process import ROOT, Database, ServerProcess

FILE = ROOT / "docs/examples/Caddyfile"
NAME = "todo.local"
PROGRAM = shutil.which("caddy")
OPTIONS = "admin off\n\tauto_https disable_redirects\n"  # no port but that of the test

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Caddy is not installed: apt-get install caddy")


@dataclass
class Caddy:
    port: int
    trust: ssl.SSLContext  # of a device that has the certificate of Caddy's authority
    token: str

    def client(self) -> httpx2.Client:
        """A client to whom the name is Caddy's address."""
        return httpx2.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            verify=self.trust,
            headers={"Host": f"{NAME}:{self.port}"},
            event_hooks={"request": [lambda request: request.extensions.update(sni_hostname=NAME)]},
        )

    def status(self, target: str) -> int:
        """Send a GET with this target unchanged and return the status."""
        with (
            socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection,
            self.trust.wrap_socket(connection, server_hostname=NAME) as encrypted,
        ):
            head = f"GET {target} HTTP/1.1\r\nHost: {NAME}:{self.port}\r\nConnection: close\r\n\r\n"
            encrypted.sendall(head.encode("latin-1"))
            return int(encrypted.recv(4096).split()[1])


@pytest.fixture(scope="module")
def caddy(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    directory, port = tmp_path_factory.mktemp("caddy"), free_port()
    settings = {"PUBLIC_URL": f"https://{NAME}:{port}", "ALLOWED_HOSTS": f"{NAME},127.0.0.1"}
    server = ServerProcess(database, directory / "log", **settings, FORWARDED_ALLOW_IPS="127.0.0.1")
    text = FILE.read_text()
    for before, after in (
        ("{\n\t#", f"{{\n\t{OPTIONS}\t#"),
        (f"\n{NAME} {{\n", f"\nhttps://{NAME}:{port} {{\n\tbind 127.0.0.1\n"),
        ("127.0.0.1:5000", server.url.removeprefix("http://")),
    ):
        assert before in text, before
        text = text.replace(before, after, 1)
    config = directory / "Caddyfile"
    config.write_text(text)
    own_files = [f"XDG_{kind}_HOME={directory}" for kind in ("DATA", "CONFIG")]
    root = directory / "caddy/pki/authorities/local/root.crt"
    try:
        command = [*own_files, str(PROGRAM), "run", "--config", str(config)]
        with proxy("env", *command, port=port, directory=directory):
            eventually(root.exists, "Caddy's authority")
            trust = ssl.create_default_context(cafile=str(root))
            eventually(lambda: _has_certificate(port, trust), "Caddy's certificate")
            yield Caddy(port, trust, database.new_user()[1])
    finally:
        server.close()


def _has_certificate(port: int, trust: ssl.SSLContext) -> bool:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        try:
            trust.wrap_socket(connection, server_hostname=NAME).close()
        except ssl.SSLError:
            return False
    return True


def test_the_file_is_valid_and_formatted(tmp_path: Path) -> None:
    config = shutil.copy(FILE, tmp_path)
    for command in ("validate", "fmt"):
        result = subprocess.run(
            [str(PROGRAM), command, *(["--adapter", "caddyfile", "--config"] if command == "validate" else []), config],
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
    assert result.stdout == FILE.read_text()


def test_the_first_page_a_call_and_a_sign_in_work_over_https(caddy: Caddy) -> None:
    with caddy.client() as http:
        page = http.get("/", headers={"Accept": "text/html"})
        assert f"https://{NAME}:{caddy.port}/mcp" in page.text
        call = http.post("/api/tools/list_tasks", json={}, headers={"Authorization": f"Bearer {caddy.token}"})
        assert call.json()["status"] == "success"
        cookie = http.get("/oauth/sign-in").headers["set-cookie"]
        assert cookie.startswith("__Host-csrftoken=") and "; Secure" in cookie


def test_only_the_known_paths_are_passed_in_whatever_spelling(caddy: Caddy) -> None:
    for path in ("/mcp", "/mcp/", "/api/tools/list_tasks"):
        assert caddy.status(path) == 401, path
    for path in ("/metrics", "/readyz"):
        for target in (path, f"{path}/", f"{path}?x", path.upper(), *other_spellings(path)):
            if not set(target) & set(" \xe9") and target.startswith("/"):
                assert caddy.status(target) in (400, 404), target


def test_wrong_passwords_count_for_the_real_address(caddy: Caddy) -> None:
    with caddy.client() as http:
        token = http.get("/oauth/sign-in").cookies["__Host-csrftoken"]
        form = {"username": "nobody-at-home", "password": "wrong", "csrfmiddlewaretoken": token}
        headers = {"Cookie": f"__Host-csrftoken={token}", "Referer": f"https://{NAME}:{caddy.port}/oauth/sign-in"}
        answers = [
            http.post("/oauth/sign-in", data=form, headers={**headers, "X-Forwarded-For": f"198.51.100.{n}"})
            for n in range(6)
        ]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
