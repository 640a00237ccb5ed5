"""The official conformance suite, both eras.

Most of its scenarios call tools, prompts and resources of the suite's own example server. ``ALLOWED`` lists the checks
that fail for this reason. Any other failure fails the test.
"""

import json
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import attempt
from tests.support.mcp_messages import HANDSHAKE, MODERN

ALLOWED = {
    "it calls a tool of the suite's own example server": [
        "tools-call-*",
        "elicitation-*",
        "input-required-result-*",
        "json-schema-2020-12/json-schema-2020-12-tool-found",
        "http-custom-header-server-validation/*",
        "server-stateless/sep-2575-server-rejects-undeclared-capability",
        "server-stateless/sep-2575-missing-capability-http-400",
        "server-stateless/sep-2575-http-server-no-independent-requests-on-stream",
        "server-stateless/sep-2575-server-no-log-without-loglevel",
    ],
    "this server offers tools only": [
        "prompts-*",
        "resources-*",
        "completion-complete/*",
        "logging-set-level/*",
        "caching/sep-2549-prompts-list-caching-hints",
        "caching/sep-2549-resources-list-caching-hints",
        "caching/sep-2549-resources-templates-list-caching-hints",
    ],
}
PASSED = {  # scenarios without a failure; they show that the suite has run
    HANDSHAKE[-1]: ["server-initialize", "ping", "tools-list", "dns-rebinding-protection", "server-session-lifecycle"],
    MODERN: ["tools-list", "dns-rebinding-protection", "http-header-validation", "sep-2164-resource-not-found"],
}


@pytest.mark.parametrize("revision", [HANDSHAKE[-1], MODERN])
def test_only_checks_that_need_the_suites_own_server_fail(
    node: Path, url: str, token: str, tmp_path: Path, revision: str
) -> None:
    suite: list[str | Path] = ["node_modules/.bin/conformance", "server", "--suite", "all", "--spec-version", revision]
    command = [node, "--import", "./authorize.mjs", *suite, "--url", url, "-o", tmp_path]
    result = attempt(*command, env={**os.environ, "TODO_TOKEN": token})
    checks = {
        f"{_scenario(path)}/{check['id']}": check
        for path in tmp_path.glob("*/checks.json")
        for check in sorted(json.loads(path.read_text()), key=_failed_last)
    }
    failed = {name: check for name, check in checks.items() if check["status"] == "FAILURE"}
    unexpected = {name: check.get("errorMessage") for name, check in failed.items() if not _is_allowed(name)}
    assert not unexpected, result.stdout[-2000:]
    good = {name.split("/")[0] for name in checks} - {name.split("/")[0] for name in failed}
    assert good.issuperset(PASSED[revision]), result.stdout[-2000:] + result.stderr[-2000:]


def _scenario(path: Path) -> str:
    """The scenario of a result. Its directory is called server-SCENARIO-2026-01-31T23-59-59-999Z."""
    return path.parent.name.removeprefix("server-").rsplit("-", 6)[0]


def _failed_last(check: dict[str, Any]) -> bool:
    """A sort key: some checks are made several times, and then the failure counts."""
    return bool(check["status"] == "FAILURE")


def _is_allowed(name: str) -> bool:
    return any(fnmatch(name, pattern) for patterns in ALLOWED.values() for pattern in patterns)
