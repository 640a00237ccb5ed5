"""Importing a module changes nothing elsewhere; ``process.installation.install`` does."""

import json
import os
import subprocess
import sys

SCRIPT = """
import gc, json, logging, sys, threading
import httptools, prometheus_client, uvicorn.supervisors.multiprocess, uvicorn.protocols.http.httptools_impl as impl
import django
django.setup()
import pghistory.runtime
from django.db import connections
from django.db.backends.signals import connection_created

def state():
    return {
        "threads": threading.active_count(),
        "source file of logging": str(logging._srcfile),
        "log flags": [logging.logThreads, logging.logProcesses, logging.logMultiprocessing],
        "log records": logging.getLogRecordFactory().__name__,
        "metrics": sorted(name for name in prometheus_client.REGISTRY._names_to_collectors if name.startswith("todo_")),
        "history": type(pghistory.runtime._tracker).__name__,
        "connections": type(connections._connections).__name__,
        "receivers of new connections": len(connection_created.receivers),
        "uvicorn's cycle": impl.RequestResponseCycle.__name__,
        "uvicorn's workers": uvicorn.supervisors.multiprocess.Process.__name__,
        "garbage collector": gc.get_threshold(),
        "patched by the project": sorted(
            f"{module.__name__}.{name}"
            for module in list(sys.modules.values())
            if module and not module.__name__.startswith((*OWN, "__main__"))
            for name, value in list(vars(module).items())
            if name != "UserModel"  # Django's and the OAuth library's own name for AUTH_USER_MODEL
            if isinstance(value, type) and str(vars(value).get("__module__")).startswith(OWN)
        ),
    }

OWN = ("todo_mcp", "tasks", "conversations")
before = state()
import importlib, pkgutil
importlib.import_module("todo_mcp.urls")  # Django registers admin modules in the order of the apps
for package in OWN:
    module = importlib.import_module(package)
    for submodule in pkgutil.walk_packages(module.__path__, f"{package}."):
        importlib.import_module(submodule.name)
after = state()
from todo_mcp.process.installation import install
install()
installed = state()
install()
print(json.dumps([before, after, installed, state()]))
"""


def test_importing_every_module_changes_nothing_and_a_second_install_changes_nothing() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "todo_mcp.settings"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    before, after, installed, again = json.loads(output.splitlines()[-1])

    assert after == before
    changed = {name for name in before if installed[name] != before[name]}
    assert changed == {
        "source file of logging",
        "log flags",
        "metrics",
        "history",
        "connections",
        "receivers of new connections",
        "uvicorn's cycle",
        "patched by the project",
    }
    assert again == installed
