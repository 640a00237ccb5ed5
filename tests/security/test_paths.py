"""Each path has one spelling, so a proxy that allows or denies a path means the same path as the server."""

import json

import httpx2
import pytest

from tests.support.application import Application
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN, request
from todo_mcp.transports.http.paths import canonical_path

pytestmark = pytest.mark.anyio
KNOWN = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/mcp",
    "/api/docs",
    "/oauth/sign-in",
    "/.well-known/oauth-protected-resource",
)


def canonical(raw: str) -> str | None:
    return canonical_path({"type": "http", "path": "ignored", "raw_path": raw.encode("latin-1")})


def other_spellings(path: str) -> list[str]:
    """Other spellings that a program may take for the same path."""
    first, rest = path[1], path[2:]
    encoded = "".join(f"%{ord(char):02x}" for char in path[1:])
    return [
        f"/%{ord(first):02x}{rest}", f"/%{ord(first):02X}{rest}", f"/{encoded}", f"{path[:-1]}%{ord(path[-1]):02x}",
        f"%2f{path[1:]}", f"/%2f{path[1:]}", f"/{path}", f"{path}//", f"{path}/.", f"/.{path}", f"/x/..{path}",
        f"/x/%2e%2e{path}", f"{path};", f"{path};x=1", f"/;{path}", f"{path}%3b", f"{path}%0a", f"{path}%00",
        f"{path}%0d%0a",
        f"{path}%20", f"{path}%09", f"{path}\\", f"{path}%5c", f"{path}%7f", f"{path}%c2%85", f"{path}%ff", f"{path}%",
        f"{path}%2", f"{path}%zz", f"{path}%25", f"{path}\xe9", f"{path} ", f"{path}|", f'{path}"', f"{path}^",
    ]  # fmt: skip


@pytest.mark.parametrize("path", KNOWN)
def test_a_path_in_another_spelling_is_not_found(application: Application, path: str) -> None:
    assert canonical(path) == canonical(f"{path}/") == path
    for other in other_spellings(path):
        assert canonical(other) != path, other
        assert application.request("GET", other, [(b"host", b"localhost")]).status == 404, other
    assert canonical(path.upper()) != path


async def test_one_slash_at_the_end_changes_nothing(as_alice: Caller) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/api/schema", "/api/conversations", "/oauth/sign-in"):
        plain, slashed = [await as_alice.http.get(f"{path}{end}", headers=as_alice.headers) for end in ("", "/")]
        assert plain.status_code == slashed.status_code == 200, path


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_call_with_one_slash_at_the_end_is_the_same_call_without_a_redirect(
    as_alice: Caller, method: str
) -> None:
    bodies: dict[str, object] = {"/api/tools/list_tasks": {}, "/api/tools/nothing": {}, "/api/conversations": None}
    for path in ("/api/conversations/{}", "/api/conversations/{}/messages", "/api/nothing"):
        bodies[path] = {"role": "user", "content": "x"} if path.endswith("messages") else None
    bodies["/mcp"] = request(MODERN, "tools/call", {"name": "list_tasks", "arguments": {}})
    headers = {**as_alice.rpc_headers(MODERN, "tools/call", "list_tasks"), "X-Request-ID": "the-same-id"}
    for path, body in bodies.items():
        answers = []
        for end in ("", "/"):
            started = await as_alice.http.post("/api/conversations", headers=as_alice.headers)
            url = path.format(started.json()["id"]) + end
            content = json.dumps(body) if body is not None and method == "POST" else None
            response = await as_alice.http.request(method, url, content=content, headers=headers)
            names = set(response.headers) - {"content-length"}
            keys = set(response.json()) if response.content else set()
            answers.append((response.status_code, response.headers.get("allow"), names, keys))
        assert answers[0] == answers[1], path
        assert answers[0][0] in (200, 201, 204, 404, 405), (path, answers)


async def test_the_admin_redirects_to_the_path_with_a_slash(http: httpx2.AsyncClient) -> None:
    for path in ("/admin", "/admin/tasks/task"):
        response = await http.get(path)
        assert response.status_code in (301, 302) and response.headers["location"].partition("?")[0].endswith("/")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/", "/"),
        ("/admin/users/user/a%20b/change/", "/admin/users/user/a b/change/"),
        ("/admin/users/user/%C3%A9/change/", "/admin/users/user/\xe9/change/"),
        ("/admin/users/user/alice@example.com/change/", "/admin/users/user/alice@example.com/change/"),
        ("/api/conversations/a%3Ab%40c", "/api/conversations/a:b@c"),  # as encodeURIComponent writes it
        ("/api/conversations/a:b@c", "/api/conversations/a:b@c"),
        ("/api/conversations/a%2Fb%5c", "/api/conversations/a%2Fb%5c"),  # a ref that no conversation can have
        ("/static/admin/css/base.css", "/static/admin/css/base.css"),
    ],
)
def test_characters_that_must_be_encoded_may_be_encoded(raw: str, path: str) -> None:
    assert canonical(raw) == path


PROBES = ("/readyz", "/metrics")


@pytest.mark.parametrize("path", PROBES)
async def test_a_probe_may_use_an_address_or_a_configured_name_as_host(
    http: httpx2.AsyncClient, settings: object, path: str
) -> None:
    settings.PROBE_HOSTS = ["todo.internal"]  # type: ignore[attr-defined]
    for host in ("localhost", "10.1.2.3:5000", "[fd00::1]:5000", "192.0.2.1", "todo.internal", "TODO.internal:5000"):
        assert (await http.get(path, headers={"Host": host})).status_code == 200, host
    for host in ("evil.example", "10.1.2.3.evil.example", "evil.example:5000", "10.1.2", "", "[fd00::1", "todo"):
        assert (await http.get(path, headers={"Host": host})).status_code == 421, host


@pytest.mark.parametrize(("path", "status"), [*((path, 200) for path in PROBES), ("/api/docs", 400), ("/mcp", 400)])
def test_only_a_probe_may_omit_the_host(application: Application, path: str, status: int) -> None:
    assert application.request("GET", path, []).status == status


async def test_only_a_probe_may_use_an_address_as_host(http: httpx2.AsyncClient) -> None:
    for path in ("/mcp", "/api/docs", "/admin/", "/oauth/sign-in"):
        assert (await http.get(path, headers={"Host": "10.1.2.3"})).status_code == 421
    assert (await http.get("/healthz", headers={"Host": "evil.example"})).status_code == 200, "it reveals nothing"
