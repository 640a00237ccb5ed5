"""Java's own HTTP client, as it is without any option: MCP, plain HTTP and REST. Walk.java shows the requests."""

import json
import shutil
from typing import Any

import pytest

from tests.e2e.programs import run
from tests.e2e.walk import check_walk
from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.server_process import ServerProcess

Answer = tuple[int, Any]
STEPS = ("add", "list", "complete", "update", "delete", "error")


@pytest.fixture(autouse=True)
def _needs_java() -> None:
    if shutil.which("java") is None:
        pytest.skip("These tests need a JDK, version 17 or newer (Debian: apt-get install default-jdk-headless).")


def answers_of(server: ServerProcess, token: str, door: str) -> dict[str, list[Answer]]:
    """The answers to each step."""
    answers: dict[str, list[Answer]] = {}
    for line in run("java", "Walk.java", server.url, token, door).splitlines():
        step, status, body = line.split(" ", 2)
        answers.setdefault(step, []).append((int(status), json.loads(body) if body else None))
    return answers


@pytest.mark.parametrize("revision", [HANDSHAKE[-1], MODERN])
def test_java_uses_every_tool_over_mcp(server: ServerProcess, token: str, revision: str) -> None:
    answers = answers_of(server, token, revision)
    (wrong_status, refusal) = answers.pop("wrongToken")[0]
    assert refusal["error"]["data"]["data"]["error"] == "unauthenticated"
    ready = answers.pop("ready", None)
    assert ready == (None if revision == MODERN else [(202, None)])
    assert {status for step in answers.values() for status, _ in step} == {200}
    results = {step: answer["result"] for step, [(_, answer)] in answers.items()}
    opened = results["open"]
    report = {
        "revision": revision,
        "server": (opened.get("serverInfo") or opened["_meta"]["io.modelcontextprotocol/serverInfo"])["name"],
        "tools": [tool["name"] for tool in results["tools"]["tools"]],
        "results": {step: results[step] for step in STEPS},
        "wrongToken": str(wrong_status),
    }
    check_walk(report, [revision])
    assert opened.get("protocolVersion", revision) == revision


def test_java_uses_every_tool_over_http(server: ServerProcess, token: str) -> None:
    answers = answers_of(server, token, "http")
    assert [answers[step][0][0] for step in STEPS] == [200, 200, 200, 200, 200, 404]
    assert answers["list"][0][1]["data"]["tasks"][0]["title"] == "Buy milk"
    assert answers["update"][0][1]["data"]["updated_fields"] == ["title"]
    assert answers["error"][0][1]["data"]["error"] == "task_not_found"
    assert [(status, answer["data"]["total"]) for status, answer in answers["concurrent"]] == [(200, 0)] * 20
    added = [answers[step][0] for step in ("chunked", "continue")]
    assert [(status, answer["data"]["title"]) for status, answer in added] == [(200, "In pieces"), (200, "After 100")]
    status, refusal = answers["wrongToken"][0]
    assert (status, refusal["data"]["error"]) == (401, "unauthenticated")


def test_java_stores_a_conversation_over_rest(server: ServerProcess, token: str) -> None:
    answers = {step: answer for step, [answer] in answers_of(server, token, "rest").items()}
    statuses = {step: status for step, (status, _) in answers.items()}
    assert statuses == {"create": 201, "append": 201, "read": 200, "list": 200, "delete": 204, "gone": 404}
    assert [message["content"] for message in answers["read"][1]["messages"]] == ["Grüße", "Hello"]
    assert answers["list"][1]["conversations"][0]["id"] == answers["create"][1]["id"]
    assert answers["gone"][1]["data"]["error"] == "conversation_not_found"
