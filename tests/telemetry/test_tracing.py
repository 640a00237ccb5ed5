"""Traces: spans and their children, errors, and the absence of user data."""

import asyncio
import gzip
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.application import Orm, application_client
from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN, request, tool_call
from tests.support.server_process import ROOT, Database, ServerProcess
from todo_mcp.auth.tokens import issue_token
from todo_mcp.telemetry import tracing
from todo_mcp.telemetry.span_export import PrivateExporter
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="session")
def memory() -> InMemorySpanExporter:
    """Every span of this process; a process has one provider."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(PrivateExporter(memory)))
    trace.set_tracer_provider(provider)
    return memory


@asynccontextmanager
async def _nothing_to_export() -> AsyncIterator[None]:
    yield


@pytest.fixture
async def traced_http(
    memory: InMemorySpanExporter, committed: None, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, with tracing."""
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setattr(tracing, "exporting", _nothing_to_export)
    async with application_client() as client:
        yield client


@pytest.fixture
def traced_caller(traced_http: httpx2.AsyncClient, memory: InMemorySpanExporter, alice: User) -> Caller:
    token = issue_token(user_id="alice")
    memory.clear()
    return Caller(traced_http, token)


async def call(
    caller: Caller, door: str, tool: str, *, header: str = "", meta: str = "", **arguments: Any
) -> dict[str, Any]:
    """The envelope of a call that names its trace in a header or, over MCP, in ``_meta``."""
    headers = {"traceparent": header} if header else {}
    if door == "http":
        response = await caller.http.post(f"/api/tools/{tool}", json=arguments, headers=caller.headers | headers)
        return dict(response.json())
    params = {"name": tool, "arguments": arguments} | ({"_meta": {"traceparent": meta}} if meta else {})
    message = request(door, "tools/call", params, id=7)
    headers |= caller.rpc_headers(door, "tools/call", tool)
    response = await caller.http.post("/mcp", json=message, headers=headers)
    return dict(response.json()["result"]["structuredContent"])


def tree(memory: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The only span of a server, and its children in the order of their start."""
    spans = memory.get_finished_spans()
    (server,) = [span for span in spans if span.kind is SpanKind.SERVER]
    assert server.context
    children = [span for span in spans if span.parent and span.parent.span_id == server.context.span_id]
    assert len(children) == len(spans) - 1, "every other span is a child of the server's"
    return server, sorted(children, key=lambda span: span.start_time or 0)


def parent_of(span: ReadableSpan) -> tuple[str, str]:
    assert span.parent
    return trace.format_trace_id(span.parent.trace_id), trace.format_span_id(span.parent.span_id)


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_is_a_span_and_its_statements_are_children(
    traced_caller: Caller, memory: InMemorySpanExporter, door: str
) -> None:
    await call(traced_caller, door, "add_task", title="Warm the connection")
    memory.clear()
    await call(traced_caller, door, "add_task", title="Buy milk", idempotency_key="a-key-of-my-own")
    server, statements = tree(memory)
    assert server.name == ("POST /api/tools/add_task" if door == "http" else "tools/call add_task")
    assert server.parent is None and server.status.status_code is StatusCode.UNSET
    assert server.attributes
    assert (server.attributes["gen_ai.tool.name"], server.attributes.get("mcp.protocol.version")) == (
        "add_task",
        None if door == "http" else door,
    )
    assert {"INSERT", "COMMIT"} <= {span.name for span in statements}
    for span in statements:
        assert span.attributes and span.kind is SpanKind.CLIENT
        assert (span.attributes["db.system.name"], span.attributes["db.operation.name"]) == ("postgresql", span.name)
        assert str(span.attributes["db.query.text"]).split()[0] in (span.name, "SELECT")


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_continues_the_trace_in_its_header(
    traced_caller: Caller, memory: InMemorySpanExporter, door: str
) -> None:
    await call(traced_caller, door, "list_tasks", header=TRACEPARENT)
    server, statements = tree(memory)
    assert parent_of(server) == (TRACE, PARENT)
    assert {parent_of(span)[0] for span in statements} == {TRACE}


@pytest.mark.parametrize("door", [HANDSHAKE[-1], MODERN])
async def test_a_message_continues_the_trace_in_its_meta_and_not_the_one_in_its_header(
    traced_caller: Caller, memory: InMemorySpanExporter, door: str
) -> None:
    await call(traced_caller, door, "list_tasks", meta=TRACEPARENT, header=f"00-{'1' * 32}-{'2' * 16}-01")
    server, _statements = tree(memory)
    assert parent_of(server) == (TRACE, PARENT)


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_whose_trace_is_not_sampled_is_not_traced(
    traced_caller: Caller, memory: InMemorySpanExporter, door: str
) -> None:
    await call(traced_caller, door, "list_tasks", header=f"00-{TRACE}-{PARENT}-00")
    assert memory.get_finished_spans() == ()


@pytest.mark.parametrize("door", DOORS)
async def test_a_tools_error_is_the_error_of_its_span(
    traced_caller: Caller, memory: InMemorySpanExporter, door: str
) -> None:
    assert (await call(traced_caller, door, "delete_task", task_id=2**40))["status"] == "error"
    server, statements = tree(memory)
    assert server.attributes
    assert server.status.status_code is StatusCode.ERROR and server.status.description is None
    assert server.attributes["error.type"] == ("404" if door == "http" else "tool_error")
    assert {span.status.status_code for span in statements} == {StatusCode.UNSET}


async def test_the_span_of_a_failed_statement_has_its_sqlstate_and_not_its_message(
    traced_caller: Caller, memory: InMemorySpanExporter, orm: Orm
) -> None:
    await orm(lambda: run_sql("ALTER TABLE django_session RENAME COLUMN session_data TO away"))
    try:
        page = await traced_caller.http.get("/admin/", headers={"Cookie": "sessionid=wordsofacookie"})
    finally:
        await orm(lambda: run_sql("ALTER TABLE django_session RENAME COLUMN away TO session_data"))
    assert page.status_code == 500
    server, statements = tree(memory)
    assert (server.name, server.status.status_code) == ("GET /admin/", StatusCode.ERROR)
    (failed,) = [span for span in statements if span.status.status_code is StatusCode.ERROR]
    assert failed.attributes and failed.status.description is None and not failed.events
    assert failed.attributes["db.response.status_code"] == "42703"
    assert "wordsofacookie" not in everything(memory)


async def test_calls_at_the_same_time_keep_their_statements_apart(
    traced_caller: Caller, memory: InMemorySpanExporter
) -> None:
    doors = [door for door in DOORS for _ in range(4)]
    await asyncio.gather(*(call(traced_caller, door, "add_task", title="Buy milk") for door in doors))
    spans = memory.get_finished_spans()
    traces = Counter(trace.format_trace_id(span.context.trace_id) for span in spans if span.context)
    inserts = [span for span in spans if span.name == "INSERT"]
    assert len(traces) == len(inserts) == len(doors)
    assert len({span.parent.span_id for span in inserts if span.parent}) == len(doors)


async def test_nothing_that_a_caller_writes_is_in_a_span(traced_caller: Caller, memory: InMemorySpanExporter) -> None:
    words = "wordsofatask"
    for door in DOORS:
        await call(traced_caller, door, "add_task", title=words, description=words, idempotency_key=f"{words}-{door}")
        await call(traced_caller, door, "update_task", task_id=1, title=f"{words} too")
        await call(traced_caller, door, "update_task", task_id=words, title=words)
        await call(traced_caller, door, "list_tasks", cursor=words, header=words, user_id=words)
    for revision in (HANDSHAKE[-1], MODERN):
        await traced_caller.rpc("tools/call", {"name": words, "arguments": {}}, revision=revision)
        await traced_caller.rpc(f"tools/{words}", {words: words}, revision=revision)
        await traced_caller.rpc("tools/list", {"cursor": words}, revision=revision)
        headers = traced_caller.rpc_headers(revision, "tools/call", "list_tasks")
        await traced_caller.http.post(
            "/mcp", content=tool_call(revision, "list_tasks", "{}", id=f'"{words}"'), headers=headers
        )
    await traced_caller.http.request(words, f"/{words}?{words}={words}", headers={"User-Agent": words, "Cookie": words})
    await traced_caller.http.post(f"/api/tools/{words}", headers=traced_caller.headers)
    text = everything(memory)
    assert "POST /api/tools/{tool}" in text and "tools/call _OTHER" in text and "UPDATE" in text
    assert words not in text
    assert traced_caller.token not in text and traced_caller.token.removeprefix("todo_") not in text
    assert "alice" not in text


@pytest.mark.parametrize("end", ["", "/"])
async def test_requests_are_named_by_their_route(traced_caller: Caller, memory: InMemorySpanExporter, end: str) -> None:
    created = await traced_caller.http.post("/api/conversations", json={}, headers=traced_caller.headers)
    memory.clear()
    await traced_caller.http.get(f"/api/conversations/{created.json()['id']}{end}", headers=traced_caller.headers)
    server, statements = tree(memory)
    assert server.attributes and server.attributes["http.response.status_code"] == 200
    assert server.name == "GET /api/conversations/<conversation_id>"
    assert [span.name for span in statements] == ["SELECT", "SELECT"]
    memory.clear()
    await traced_caller.http.post(f"/api/tools/list_tasks{end}", json={}, headers=traced_caller.headers)
    server, _statements = tree(memory)
    assert server.name == "POST /api/tools/list_tasks"


def test_the_tracing_libraries_are_not_imported_without_tracing() -> None:
    code = "import sys, todo_mcp.asgi; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')"
    code += " or name.startswith(('opentelemetry.exporter', 'google.protobuf', 'opentelemetry.proto'))])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("variables", "configured"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "todo"}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", ENDPOINT: "http://collector:4318"}, False),
    ],
)
def test_the_standard_variables_turn_tracing_on_or_off(
    variables: dict[str, str], configured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracing.is_configured() is configured


class Collector(ThreadingHTTPServer):
    """Receives the spans that an OTLP exporter sends over HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        super().__init__(("127.0.0.1", 0), _CollectorHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[dict[str, Any]]:
        """Name, service and trace of each received span."""
        return [
            {
                "name": span.name,
                "service": {item.key: item.value.string_value for item in group.resource.attributes}["service.name"],
                "trace": span.trace_id.hex(),
            }
            for request in self.requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]


class _CollectorHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/v1/traces" and isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.shutdown()
    collector.server_close()


@pytest.mark.parametrize("service", ["", "tasks-of-europe"])
def test_a_server_that_stops_sends_its_remaining_spans_to_the_collector(
    database: Database, collector: Collector, tmp_path: Path, service: str
) -> None:
    variables = {ENDPOINT: collector.url, "OTEL_BSP_SCHEDULE_DELAY": 3_600_000} | (
        {"OTEL_RESOURCE_ATTRIBUTES": f"service.name={service}"} if service else {}
    )
    server = ServerProcess(database, tmp_path / "server.log", LOG_LEVEL="INFO", **variables)
    try:
        headers = {"Authorization": f"Bearer {database.new_user()[1]}", "traceparent": TRACEPARENT}
        assert httpx2.post(f"{server.url}/api/tools/list_tasks", headers=headers).status_code == 200
    finally:
        server.close()
    spans = [span for span in collector.spans() if span["trace"] == TRACE]
    assert {span["name"] for span in spans} >= {"POST /api/tools/list_tasks", "SELECT"}
    assert {span["service"] for span in spans} == {service or "todo-mcp"}
    assert [line["trace_id"] for line in server.log_lines() if line["message"] == "call"] == [TRACE]


def test_a_collector_that_never_answers_does_not_delay_a_server_that_stops(database: Database, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = ServerProcess(
            database, tmp_path / "server.log", **{ENDPOINT: f"http://127.0.0.1:{mute.getsockname()[1]}"}
        )
        httpx2.get(f"{server.url}/admin/login/")
        began = time.monotonic()
        server.terminate()
        assert server.exit_code() == 0
        assert time.monotonic() - began < 8


def everything(memory: InMemorySpanExporter) -> str:
    return "\n".join(span.to_json() for span in memory.get_finished_spans())


def run_sql(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_traced_connection_can_be_opened_again_with_the_same_parameters(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    parameters = wrapper.get_connection_params()
    for _ in range(2):
        with closing(wrapper.get_new_connection(parameters)) as new_connection:
            assert new_connection.execute("SELECT 1").fetchone() == (1,)
