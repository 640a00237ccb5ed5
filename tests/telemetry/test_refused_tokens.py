"""A refusal of credentials is logged and counted by its rule. Strangers can neither flood the log nor write into it."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings as django_settings
from prometheus_client.parser import text_string_to_metric_families

from tests.support.application import Orm
from tests.support.auth.fixtures import RefusalLines
from tests.support.auth.issuers import ISSUER, OTHER_RSA, Configure, claims, jwk, key_server, raw, signed
from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.processes import eventually
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.telemetry import refused_tokens
from todo_mcp.telemetry.metrics import exposition
from todo_mcp.telemetry.refused_tokens import LINES_MAX, PERIOD, LimitedLog
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

SECRET_WORDS = "nobody-may-read-this"
SOON = 20.0  # seconds


def counts() -> dict[str, float]:
    """The value of the metric for each rule."""
    families = {family.name: family for family in text_string_to_metric_families(exposition().decode())}
    samples = families["todo_unauthenticated_requests"].samples
    return {sample.labels["rule"]: sample.value for sample in samples if sample.name.endswith("_total")}


async def send_mcp(revision: str, method: str, http: httpx2.AsyncClient, headers: dict[str, str]) -> httpx2.Response:
    caller = Caller(http, headers["Authorization"].removeprefix("Bearer "))
    return await caller.rpc(method, {"name": "list_tasks", "arguments": {}}, revision=revision)


Send = Callable[[httpx2.AsyncClient, dict[str, str]], Any]
DOORS: dict[str, Send] = {
    "tool": lambda http, headers: http.post("/api/tools/add_task", json={"title": "x"}, headers=headers),
    "unknown tool": lambda http, headers: http.post("/api/tools/none", json={}, headers=headers),
    "bad JSON": lambda http, headers: http.post("/api/tools/add_task", content=b"{", headers=headers),
    "large body": lambda http, headers: http.post("/api/tools/add_task", content=b" " * 20_000, headers=headers),
    "conversations": lambda http, headers: http.get("/api/conversations", headers=headers),
    "no such path": lambda http, headers: http.get("/api/conversations/none", headers=headers),
    "messages": lambda http, headers: http.post("/api/conversations/1/messages", json={}, headers=headers),
    "MCP, no call": lambda http, headers: http.post("/mcp", json={"jsonrpc": "2.0", "method": "x"}, headers=headers),
    "MCP, GET": lambda http, headers: http.get("/mcp", headers=headers),
    **{
        f"MCP {revision} {method}": partial(send_mcp, revision, method)
        for revision in (HANDSHAKE[0], MODERN)
        for method in ("tools/call", "tools/list")
    },
}


@pytest.mark.parametrize("send", DOORS.values(), ids=DOORS)
async def test_each_401_has_one_line_and_one_count_wherever_it_arises(
    http: httpx2.AsyncClient, alice: User, refusal_lines: RefusalLines, send: Send
) -> None:
    before = counts()
    response = await send(http, {"Authorization": "Bearer todo_x"})
    assert response.status_code == 401
    (line,) = refusal_lines()
    assert (line["level"], line["message"], line["rule"]) == ("INFO", "unauthenticated", "token_unknown")
    assert line["request_id"] == response.headers["x-request-id"]
    assert counts()["token_unknown"] == before.get("token_unknown", 0) + 1
    assert sum(counts().values()) == sum(before.values()) + 1


async def test_a_request_without_credentials_is_logged_as_such(
    http: httpx2.AsyncClient, refusal_lines: RefusalLines
) -> None:
    for method, path in (("POST", "/mcp"), ("POST", "/api/tools/list_tasks"), ("GET", "/api/conversations")):
        assert (await http.request(method, path)).status_code == 401
    assert [line["rule"] for line in refusal_lines()] == ["no_credentials"] * 3


async def test_protected_metrics_log_and_count_who_is_refused(
    http: httpx2.AsyncClient, settings: Any, refusal_lines: RefusalLines
) -> None:
    settings.METRICS_TOKEN = "only-prometheus-knows-this"
    for headers in ({}, {"Authorization": f"Bearer {SECRET_WORDS}"}):
        assert (await http.get("/metrics", headers=headers)).status_code == 401
    assert [line["rule"] for line in refusal_lines()] == ["no_credentials", "metrics_token"]


async def test_the_endpoints_for_oauth_clients_log_and_count_who_is_refused(
    http: httpx2.AsyncClient, alice: User, orm: Orm, refusal_lines: RefusalLines
) -> None:
    personal = await orm(lambda: issue_token(user_id="alice"))
    form = {"client_id": SECRET_WORDS, "token": "x", "grant_type": "refresh_token", "refresh_token": "x"}
    requests: list[tuple[str, dict[str, str], str]] = [
        ("token", {}, "oauth_client"),
        ("revoke", {}, "oauth_client"),
        ("introspect", {}, "oauth_client"),
        ("introspect", {"Authorization": "Basic eDp5"}, "oauth_client"),
        ("introspect", {"Authorization": "Bearer todo_x"}, "token_unknown"),
        ("introspect", {"Authorization": f"Bearer {personal}"}, "not_a_service"),
    ]
    for path, headers, _ in requests:
        assert (await http.post(f"/oauth/{path}", data=form, headers=headers)).status_code == 401
    assert [line["rule"] for line in refusal_lines()] == [rule for *_, rule in requests]
    assert SECRET_WORDS not in json.dumps(refusal_lines())


async def test_a_token_that_introspection_finds_inactive_is_no_refusal(
    http: httpx2.AsyncClient, orm: Orm, refusal_lines: RefusalLines
) -> None:
    service = await orm(lambda: issue_token(service="chat"))
    headers = {"Authorization": f"Bearer {service}"}
    assert (await http.post("/oauth/introspect", data={"token": "x"}, headers=headers)).json() == {"active": False}
    assert refusal_lines() == []


async def test_a_line_never_contains_the_token_or_a_claim(
    http: httpx2.AsyncClient, alice: User, configure: Configure, refusal_lines: RefusalLines
) -> None:
    configure()
    changed = {"sub": SECRET_WORDS, "client_id": SECRET_WORDS, "scope": SECRET_WORDS, "jti": SECRET_WORDS}
    tokens = [
        signed(claims(**changed)),
        signed(claims(**changed), key=OTHER_RSA, headers={"kid": SECRET_WORDS}),
        signed(claims(**changed, nonce=SECRET_WORDS), headers={"typ": SECRET_WORDS}),
        signed(claims(**changed, nonce=SECRET_WORDS)),
        signed(claims(**changed, iss=SECRET_WORDS)),
        signed(claims(**changed, aud=SECRET_WORDS)),
        raw(json.dumps({"alg": SECRET_WORDS}), json.dumps(claims(**changed))),
        f"todo_{SECRET_WORDS}",
    ]
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": SECRET_WORDS}
        assert (await http.post("/api/tools/list_tasks", json={"x": SECRET_WORDS}, headers=headers)).status_code == 401
    lines = refusal_lines()
    assert [line["rule"] for line in lines] == [
        *("user_unknown", "jwt_signature", "jwt_type", "jwt_purpose", "jwt_issuer", "jwt_audience", "jwt_algorithm"),
        "token_unknown",
    ]
    text = json.dumps(lines)
    assert SECRET_WORDS not in text and not any(part in text for token in tokens for part in token.split("."))
    standard = {"time", "level", "logger", "message", "request_id"}
    assert {name for line in lines for name in line} == standard | {"rule", "issuer"}


async def test_a_line_names_the_issuer_only_if_it_is_configured(
    http: httpx2.AsyncClient, alice: User, configure: Configure, refusal_lines: RefusalLines
) -> None:
    configure()
    for token in (signed(claims(exp=1, iat=0)), signed(claims(iss=f"{ISSUER}x")), signed(claims(iss=None)), "a.b.c"):
        await Caller(http, token).post("list_tasks")
    lines = [(line["rule"], line.get("issuer", "absent")) for line in refusal_lines()]
    assert lines == [("jwt_expired", ISSUER), *[("jwt_issuer", "absent")] * 2, ("jwt_malformed", "absent")]


async def test_a_key_that_the_issuer_does_not_publish_is_its_own_rule(
    http: httpx2.AsyncClient, alice: User, configure: Configure, refusal_lines: RefusalLines
) -> None:
    with key_server() as server:
        server.keys = [jwk(kid="1")]
        configure(public_key="", jwks_url=server.url)
        assert (await Caller(http, signed(headers={"kid": "2"})).post("list_tasks")).status_code == 401
    assert [(line["rule"], line["issuer"]) for line in refusal_lines()] == [("jwt_key", ISSUER)]


async def test_a_flood_is_counted_in_full_and_logged_ten_times_a_second(
    http: httpx2.AsyncClient, alice: User, refusal_lines: RefusalLines
) -> None:
    before, sent, ends = counts(), 0, time.monotonic() + 1.5 * PERIOD
    while time.monotonic() < ends:
        assert (await Caller(http, f"todo_{sent}").post("list_tasks")).status_code == 401
        sent += 1
    eventually(
        lambda: suppressed_in(refusal_lines()) + len(refused(refusal_lines())) == sent,
        "the count of a flood",
        within=SOON,
    )
    assert sent > 3 * LINES_MAX, "this machine is too slow for this test"
    assert len(refused(refusal_lines())) <= 2 * LINES_MAX
    assert counts()["token_unknown"] == before.get("token_unknown", 0) + sent


def refused(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "rule" in line]


def suppressed_in(lines: list[dict[str, Any]]) -> int:
    return sum(line.get("suppressed", 0) for line in lines)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the limit. It stands still until a test changes it."""
    now = [1000.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(refused_tokens, "time", Clock)
    return now


def test_any_second_has_at_most_ten_lines_and_the_next_line_counts_what_is_missing(
    caplog: pytest.LogCaptureFixture, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedLog, "_report_later", lambda self: None)
    caplog.set_level(logging.INFO, refused_tokens.__name__)
    log, written = LimitedLog(), []
    for _ in range(4 * 128):  # 128 a second, because binary fractions add up exactly
        before = len(caplog.records)
        log.write("unauthenticated", rule="x")
        written += [clock[0]] * (len(caplog.records) - before)
        clock[0] += PERIOD / 128
    assert len(written) == 4 * LINES_MAX
    assert all(later - earlier >= PERIOD for earlier, later in zip(written, written[LINES_MAX:], strict=False))
    assert sum(getattr(record, "suppressed", 0) for record in caplog.records) == 3 * (128 - LINES_MAX)
    assert not hasattr(caplog.records[0], "suppressed")


def test_what_a_flood_suppressed_is_logged_soon_after_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, refused_tokens.__name__)
    log, threads = LimitedLog(), threading.active_count()
    for _ in range(50):
        log.write("unauthenticated", rule="x")
    assert len(caplog.records) == LINES_MAX and threading.active_count() <= threads + 1
    eventually(lambda: len(caplog.records) > LINES_MAX, "the line of the timer", within=SOON)
    assert caplog.records[-1].suppressed == 50 - LINES_MAX  # type: ignore[attr-defined]
    log.write("unauthenticated", rule="x")
    assert not hasattr(caplog.records[-1], "suppressed"), "it was reported before"


def test_a_flood_of_many_threads_is_counted_exactly(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, refused_tokens.__name__)
    log = LimitedLog()

    def write() -> None:
        for _ in range(500):
            log.write("unauthenticated", rule="x")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def total() -> int:
        lines = sum(record.message == "unauthenticated" for record in caplog.records)
        return lines + sum(getattr(record, "suppressed", 0) for record in caplog.records)

    eventually(lambda: total() == 2000, "all lines to be counted", within=SOON)


def test_the_documents_explain_every_rule_and_no_other() -> None:
    page = (Path(django_settings.BASE_DIR) / "docs/monitoring.md").read_text()
    table = page.split("<!-- rules -->")[1]
    assert sorted(re.findall(r"^\| `([a-z_]+)`", table, re.MULTILINE)) == sorted(TokenRule)
