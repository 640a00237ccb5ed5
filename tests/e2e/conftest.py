"""A real server for third-party clients, and the programs of these clients."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.programs import HERE, run
from tests.support.server_process import Database, ServerProcess

# Root can run it only without sandbox. The other flags stop the browser's own requests to its vendor.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="session")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(database, tmp_path_factory.mktemp("log") / "server.log", LOG_LEVEL="INFO")
    yield server
    server.close()


@pytest.fixture
def url(server: ServerProcess) -> str:
    return f"{server.url}/mcp"


@pytest.fixture
def token(database: Database) -> str:
    """The token of a user that no other test uses."""
    return database.new_user()[1]


@pytest.fixture(scope="session")
def node() -> Path:
    """The path of Node 22. Installs it with the clients of package.json if they are missing or old."""
    modules = HERE / "node_modules"
    installed = modules / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        if shutil.which("npm") is None:
            pytest.fail("These tests need Node.js 20 or newer with npm; install it, then run them again.")
        run("npm", "ci", "--no-audit", "--no-fund", seconds=600)
    return modules / "node" / "bin" / "node"


def chromium() -> str:
    """The path of the browser."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("This drives Chromium. Install it (Debian: apt-get install chromium) or name it in CHROMIUM.")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()
