"""What callers call their conversations, and what they store there, is in no log and no metric."""

import logging

import pytest
from prometheus_client import generate_latest

from tests.support.caller import Caller
from tests.support.chat_backend import START, send
from todo_mcp.calls import perform
from todo_mcp.telemetry.logs import Formatter
from todo_mcp.transports.http.paths import path_in_logs

pytestmark = pytest.mark.anyio
SECRET = "kqzxj"
MESSAGE = {"role": "user", "content": SECRET, "item": {SECRET: SECRET}}


async def test_no_call_leaves_a_ref_a_title_metadata_or_an_item_in_a_log_or_a_metric(
    as_alice: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for logger in ("", "todo_mcp", perform.__name__):  # another test may have set one of these levels
        caplog.set_level(logging.DEBUG, logger)
    url, about = f"{START}/{SECRET}", {"title": SECRET, "metadata": {SECRET: SECRET}}
    statuses = [
        (await send(as_alice, method, path, json=body)).status_code
        for method, path, body in (
            ("GET", url, None),
            ("POST", START, {**about, "ref": SECRET}),
            ("POST", START, {**about, "ref": SECRET}),
            ("POST", START, {**about, "ref": f"{SECRET} "}),
            ("PUT", url, about),
            ("PATCH", url, {**about, SECRET: 1}),
            ("POST", f"{url}/messages", [{**MESSAGE, "ref": SECRET}]),
            ("POST", f"{url}/messages", [{**MESSAGE, "ref": SECRET}]),
            ("POST", f"{url}/messages?expected_last={SECRET}x", [MESSAGE]),
            ("POST", f"{url}/messages?replace={SECRET}x", [MESSAGE]),
            ("PUT", f"{url}/messages/{SECRET}", MESSAGE),
            ("PUT", f"{url}/messages/{SECRET}", {**MESSAGE, "item": SECRET}),
            ("GET", f"{url}/messages?after={SECRET}", None),
            ("DELETE", f"{url}/messages/{SECRET}", None),
            ("DELETE", url, None),
        )
    ]
    assert statuses == [404, 201, 409, 400, 200, 400, 201, 409, 409, 404, 200, 400, 200, 204, 204]
    monkeypatch.setattr("conversations.services.owned", None)
    assert (await send(as_alice, "GET", url)).status_code == 500
    lines = [Formatter().format(record) for record in caplog.records]
    assert any("defect" in line for line in lines)
    assert any('"tool":"put_message"' in line for line in lines)
    # httpx2 is the client of this test.
    assert not [line for line in lines if SECRET in line and '"logger":"httpx2' not in line]
    assert SECRET not in generate_latest().decode()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/conversations", "/api/conversations"),
        ("/api/conversations/7", "/api/conversations/7"),
        ("/api/conversations/7/messages/8", "/api/conversations/7/messages/8"),
        ("/api/conversations/7a", "/api/conversations/{ref}"),
        ("/api/conversations/a/messages", "/api/conversations/{ref}/messages"),
        ("/api/conversations/a/messages/b", "/api/conversations/{ref}/messages/{ref}"),
        ("/api/conversations/messages/messages/messages", "/api/conversations/{ref}/messages/{ref}"),
        ("/api/tools/add_task", "/api/tools/add_task"),
        ("/admin/conversations/conversation/7/", "/admin/conversations/conversation/7/"),
    ],
)
def test_a_path_in_a_log_has_no_ref(path: str, shown: str) -> None:
    assert path_in_logs(path) == shown
