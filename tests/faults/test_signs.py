"""What an operator sees: machine-readable logs without secrets, counts, limits and probes."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.broken_database import METRICS_TOKEN
from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN, tool_request
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio


@pytest.fixture
def strict_server(database: Database, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that allows three calls a minute for each user."""
    server = ServerProcess(database, tmp_path / "server.log", LOG_LEVEL="INFO", RATE_LIMIT=3)
    yield server
    server.close()


@pytest.fixture
async def limited_caller(strict_server: ServerProcess, database: Database, anyio_backend: str) -> AsyncIterator[Caller]:
    async with strict_server.client() as client:
        yield Caller(client, database.new_user()[1])


async def test_every_line_of_the_log_is_json_with_the_id_of_its_request(caller: Caller, server: ServerProcess) -> None:
    answers = [await caller.post("add_task", title="Buy milk"), await caller.rpc("tools/list", {})]
    answers.append(await caller.rpc("tools/call", {"name": "list_tasks", "arguments": {}}, revision=HANDSHAKE[-1]))
    ids = [answer.headers["x-request-id"] for answer in answers]
    logs = [server.log_lines(request_id) for request_id in ids]
    assert [len(lines) for lines in logs] == [1, 0, 1], "one line for each tool call"
    assert (logs[0][0]["tool"], logs[0][0]["outcome"], logs[0][0]["level"]) == ("add_task", "success", "INFO")
    assert (logs[2][0]["transport"], logs[2][0]["revision"]) == ("mcp", HANDSHAKE[-1])


async def test_the_request_id_of_a_caller_is_in_the_log_and_in_the_answer(
    caller: Caller, server: ServerProcess
) -> None:
    headers = {**caller.headers, "X-Request-ID": "from-the-proxy-1"}
    answer = await caller.http.post("/api/tools/list_tasks", headers=headers)
    assert answer.headers["x-request-id"] == "from-the-proxy-1"
    assert len(server.log_lines("from-the-proxy-1")) == 1


async def test_neither_a_token_nor_the_words_of_a_task_reach_the_log(caller: Caller, server: ServerProcess) -> None:
    words = "wordsofatask"
    for revision in (HANDSHAKE[-1], MODERN):
        added = await caller.mcp("add_task", title=f"{words} {revision}", description=words, revision=revision)
        await caller.mcp("update_task", task_id=added["data"]["task_id"], title=f"{words} too", revision=revision)
        await caller.mcp("add_task", title=words * 50, revision=revision)  # refused: too long
        await caller.mcp("add_task", title=f"defect {words}", revision=revision)
        await caller.mcp("add_task", title="Nothing", idempotency_key=words, revision=revision)
        await caller.mcp("list_tasks", cursor=words, revision=revision)
    await caller.http.post(f"/api/tools/{words}", json={words: words}, headers=caller.headers)
    wrong = {"Authorization": f"Bearer {caller.token}x"}
    assert (await caller.http.post("/api/tools/list_tasks", headers=wrong)).status_code == 401
    log = server.log()
    assert words not in log
    assert caller.token not in log and caller.token.removeprefix("todo_") not in log


async def test_control_characters_from_a_client_cannot_forge_a_line_of_the_log(
    caller: Caller, server: ServerProcess
) -> None:
    name = 'evil\n{"level": "CRITICAL"}\x1b[2J\x7f\u2028\u202e'
    body = tool_request(MODERN, "list_tasks", {}, client=name)
    headers = caller.rpc_headers(MODERN, "tools/call", "list_tasks")
    answer = await caller.http.post("/mcp", json=body, headers=headers)
    assert answer.status_code == 200
    (line,) = server.log_lines(answer.headers["x-request-id"])
    assert line["client"].startswith('evil{"level": "CRITICAL"}[2J')
    assert not any(ord(char) < 0x20 or ord(char) >= 0x7F for char in server.log() if char != "\n")


async def test_calls_are_counted_by_tool_and_outcome(caller: Caller) -> None:
    before = await _counts(caller)
    await caller.post("add_task", title="Buy milk")
    await caller.mcp("complete_task", task_id=2**62)
    await caller.mcp("add_task", title="")
    after = await _counts(caller)
    increases = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
    assert increases == {
        ("add_task", "http", "", "success"): 1,
        ("complete_task", "mcp", MODERN, "task_not_found"): 1,
        ("add_task", "mcp", MODERN, "invalid_arguments"): 1,
    }


async def _counts(caller: Caller) -> dict[tuple[str, str, str, str], float]:
    text = (await caller.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})).text
    (calls,) = [family for family in text_string_to_metric_families(text) if family.name == "todo_calls"]
    return {
        (sample.labels["tool"], sample.labels["transport"], sample.labels["revision"], sample.labels["outcome"]): value
        for sample in calls.samples
        if sample.name == "todo_calls_total" and (value := sample.value)
    }


async def test_metrics_are_shown_only_with_their_token(caller: Caller) -> None:
    wrong: list[dict[str, str]] = [{}, caller.headers, {"Authorization": f"Bearer {METRICS_TOKEN}x"}]
    answers = [await caller.http.get("/metrics", headers=headers) for headers in wrong]
    assert [(answer.status_code, answer.headers["www-authenticate"]) for answer in answers] == [(401, "Bearer")] * 3
    assert not any("todo_calls" in answer.text for answer in answers)


async def test_a_user_who_calls_too_often_learns_when_to_retry_and_others_are_served(
    limited_caller: Caller, database: Database
) -> None:
    answers = [await limited_caller.post("list_tasks") for _ in range(2)]
    assert (await limited_caller.mcp("list_tasks"))["status"] == "success"
    answers.append(await limited_caller.post("list_tasks"))
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    envelope = answers[-1].json()
    assert envelope["data"]["error"] == "rate_limited"
    assert 1 <= envelope["data"]["retry_after"] <= 60
    assert answers[-1].headers["retry-after"] == str(envelope["data"]["retry_after"])
    over_mcp = await limited_caller.mcp("list_tasks", revision=HANDSHAKE[-1])
    assert over_mcp["data"]["error_code"] == 429
    other = Caller(limited_caller.http, database.new_user()[1])
    assert (await other.post("list_tasks")).status_code == 200


async def test_an_admin_page_that_fails_logs_no_text_of_a_user(
    caller: Caller, database: Database, server: ServerProcess
) -> None:
    """Django logs the exception, whose message quotes the statement."""
    database.query("ALTER TABLE django_session RENAME COLUMN session_data TO away")
    try:
        page = await caller.http.get("/admin/", headers={"Cookie": "sessionid=thewordsofacookie"})
    finally:
        database.query("ALTER TABLE django_session RENAME COLUMN away TO session_data")
    assert page.status_code == 500
    lines = server.log_lines(page.headers["x-request-id"])
    assert any(json.loads(line["exc_info"])["error"] == "ProgrammingError" for line in lines if "exc_info" in line)
    assert "thewordsofacookie" not in server.log() + page.text
