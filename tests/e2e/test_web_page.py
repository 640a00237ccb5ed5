"""Pages of other origins in Chromium. They use the official TypeScript SDK, as in a web application.

One file server has two origins, `localhost` and `127.0.0.1`. The todo server lists the first.
"""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.person import Person
from tests.e2e.programs import run
from tests.e2e.walk import check_walk
from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.server_process import Database, ServerProcess

PROGRAMS = ("sdk_v1.mjs", "sdk_v2.mjs", "web_oauth.mjs")
EMPTY_PAGE = "<!doctype html><meta charset=utf-8><title>A web page</title>"
# Runs a program in the page, as Node runs it on the command line.
RUN = "([name, ...line]) => { globalThis.commandLine = ['node', name, ...line]; return import(`/${name}`) }"
CONNECT = "([version, url]) => import('/web_oauth.js').then((program) => program.connect(version, url))"
# For each request "status, the readable headers and the body", or the name of the error.
FETCH = """(requests) => Promise.all(requests.map(async ([url, options]) => {
  try {
    const response = await fetch(url, options);
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
  } catch (error) { return error.name; }
}))"""


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *values: Any) -> None:
        pass


@pytest.fixture(scope="module")
def files(node: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadingHTTPServer]:
    """A server for an empty page and the bundled programs."""
    directory = tmp_path_factory.mktemp("pages")
    (directory / "index.html").write_text(EMPTY_PAGE)
    options = ["--bundle", "--format=esm", "--log-level=warning", "--define:process.argv=globalThis.commandLine"]
    run("node_modules/.bin/esbuild", *PROGRAMS, *options, f"--outdir={directory}")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def listed(files: ThreadingHTTPServer) -> str:
    return f"http://localhost:{files.server_port}"


@pytest.fixture(scope="module")
def unlisted(files: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{files.server_port}"


@pytest.fixture(scope="module")
def open_server(database: Database, listed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(database, tmp_path_factory.mktemp("log") / "server.log", BROWSER_ORIGINS=listed)
    yield server
    server.close()


@pytest.fixture
def base(open_server: ServerProcess) -> str:
    """The server under its public address."""
    return open_server.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield page


def printed(page: Page, program: str, *line: str) -> Any:
    """The JSON that a program prints in the page."""
    with page.expect_console_message(lambda message: message.type == "log") as message:
        page.evaluate(RUN, [program, *line])
    return json.loads(message.value.text)


def test_version_1_uses_every_tool(page: Page, listed: str, base: str, token: str) -> None:
    page.goto(listed)
    check_walk(printed(page, "sdk_v1.js", f"{base}/mcp", token), HANDSHAKE[-1:])


@pytest.mark.parametrize("revision", [HANDSHAKE[-1], MODERN, "auto"])
def test_version_2_uses_every_tool(page: Page, listed: str, base: str, token: str, revision: str) -> None:
    page.goto(listed)
    report = printed(page, "sdk_v2.js", f"{base}/mcp", token, revision)
    check_walk(report, [MODERN if revision == "auto" else revision])


@pytest.mark.parametrize("version", [1, 2])
def test_a_page_connects_calls_refreshes_and_is_revoked(
    database: Database, page: Page, listed: str, base: str, version: int
) -> None:
    person = Person.new(database)
    page.goto(listed)
    with page.expect_navigation(url=f"{base}/oauth/**"):
        page.evaluate(CONNECT, [version, f"{base}/mcp"])
    person.sign_in_and_allow(page)
    page.wait_for_url(f"{listed}/?*")
    with page.expect_console_message(lambda message: message.type == "log") as message:
        page.evaluate(CONNECT, [version, f"{base}/mcp"])
    report = json.loads(message.value.text)
    assert report["tools"] == ["add_task", "list_tasks", "complete_task", "delete_task", "update_task"]
    assert report["after"]["structuredContent"]["data"]["total"] == 1
    assert report["renewed"] and report["revoked"] == 200
    status, challenge = report["refused"]
    assert status == 401 and 'error="invalid_token"' in challenge


def requests_to(base: str, token: str) -> list[list[Any]]:
    """One request of each kind that a page could send to the server."""
    sent = {"method": "POST", "headers": {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}}
    form = {"method": "POST", "body": "grant_type=x", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    return [
        [f"{base}/api/tools/add_task", {**sent, "body": '{"title": "From a page"}'}],
        [f"{base}/api/tools/add_task", {**sent, "body": "{}"}],
        [f"{base}/api/tools/add_task", {**sent, "body": " " * 300_000}],
        [f"{base}/api/conversations", {**sent, "body": "{}"}],
        [f"{base}/mcp", {**sent, "method": "GET"}],
        [f"{base}/.well-known/oauth-protected-resource/mcp", {}],
        [f"{base}/.well-known/oauth-authorization-server", {"headers": {"MCP-Protocol-Version": MODERN}}],
        [f"{base}/oauth/register", {**sent, "body": '{"redirect_uris": ["https://app.example.com"]}'}],
        [f"{base}/oauth/token", form],
    ]


def test_a_listed_page_reads_answers_refusals_and_their_headers(page: Page, listed: str, base: str, token: str) -> None:
    page.goto(listed)
    answers = page.evaluate(FETCH, requests_to(base, token))
    assert [answer["status"] for answer in answers] == [200, 400, 413, 201, 405, 200, 200, 201, 400]
    assert all(answer["body"] and answer["headers"]["x-request-id"] for answer in answers)
    assert answers[4]["headers"]["allow"] == "POST"


def test_a_listed_page_cannot_read_the_pages_that_use_cookies(page: Page, listed: str, base: str) -> None:
    page.goto(listed)
    closed = [f"{base}{path}" for path in ("/admin/login/", "/oauth/sign-in", "/oauth/connections", "/metrics")]
    modes: tuple[dict[str, str], ...] = ({}, {"credentials": "include"})
    requests = [[url, mode] for url in closed for mode in modes]
    requests += [[f"{base}/.well-known/oauth-authorization-server", {"credentials": "include"}]]
    assert page.evaluate(FETCH, requests) == ["TypeError"] * len(requests)


def test_a_page_of_another_origin_gets_nothing_and_does_nothing(
    page: Page, listed: str, unlisted: str, base: str, token: str
) -> None:
    page.goto(unlisted)
    requests = requests_to(base, token)
    assert page.evaluate(FETCH, requests) == ["TypeError"] * len(requests)
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate(RUN, ["sdk_v2.js", f"{base}/mcp", token, "auto"])
    page.goto(listed)
    sent = {"method": "POST", "headers": {"Authorization": f"Bearer {token}"}, "body": "{}"}
    (listing,) = page.evaluate(FETCH, [[f"{base}/api/tools/list_tasks", sent]])
    assert json.loads(listing["body"])["data"]["total"] == 0
