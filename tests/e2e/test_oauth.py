"""The official SDKs' OAuth clients and the conformance suite's authorization server scenarios, with a real browser."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import anyio.to_thread
import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.e2e.person import CALLBACK, Person
from tests.e2e.programs import HERE, SECONDS, run
from tests.support.auth.oauth_client import OAuthClient
from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.processes import free_port
from tests.support.server_process import Database, ServerProcess

TOOLS = ["add_task", "list_tasks", "complete_task", "delete_task", "update_task"]


@pytest.fixture
def base(server: ServerProcess) -> str:
    """The server under its public address."""
    return server.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def person(database: Database) -> Person:
    return Person.new(database)


def _program(*command: str | Path) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=HERE, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


class Storage:
    """The data that a client stores between its runs."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider_of(url: str, storage: Storage, person: Person) -> OAuthClientProvider:
    redirects: list[str] = []

    async def redirect(question: str) -> None:
        redirects.append(await anyio.to_thread.run_sync(person.allow, question))

    async def callback() -> AuthorizationCodeResult:
        answer = {name: values[0] for name, values in parse_qs(urlsplit(redirects.pop()).query).items()}
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    metadata = OAuthClientMetadata(
        client_name="Python SDK",
        redirect_uris=[AnyUrl(CALLBACK)],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(url, metadata, storage, redirect, callback)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", [HANDSHAKE[-1], MODERN])
async def test_the_python_sdk_connects_calls_refreshes_and_is_revoked(base: str, person: Person, mode: str) -> None:
    url, storage = f"{base}/mcp", Storage()
    provider = provider_of(url, storage, person)
    async with (
        httpx2.AsyncClient(auth=provider, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode="auto" if mode == MODERN else "legacy") as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        added = await client.call_tool("add_task", {"title": "From Python"})
        assert (added.structured_content or {})["status"] == "success"
        assert storage.tokens and storage.client
        first, provider.context.token_expiry_time = storage.tokens, 1.0  # the client thinks that its token has expired
        task_list = await client.call_tool("list_tasks", {})
        assert (task_list.structured_content or {})["data"]["total"] == 1
        assert storage.tokens.access_token != first.access_token
        form = {"token": storage.tokens.refresh_token or "", "client_id": storage.client.client_id or ""}
    async with httpx2.AsyncClient() as plain:
        assert (await plain.post(f"{base}/oauth/revoke", data=form)).status_code == 200
        headers = {"Authorization": f"Bearer {storage.tokens.access_token}"}
        assert (await plain.post(f"{base}/api/tools/list_tasks", json={}, headers=headers)).status_code == 401


def test_the_typescript_sdk_connects_calls_refreshes_and_is_revoked(node: Path, base: str, person: Person) -> None:
    with _program(node, "oauth.mjs", f"{base}/mcp", CALLBACK) as program:
        assert program.stdin and program.stdout
        question = program.stdout.readline().strip()
        program.stdin.write(person.allow(question) + "\n")
        program.stdin.flush()
        printed, complaints = program.communicate(timeout=SECONDS)
    assert program.returncode == 0, complaints
    report: dict[str, Any] = json.loads(printed)
    assert report["tools"] == TOOLS and report["renewed"] and report["scope"] == "tasks:read tasks:write"
    assert report["after"]["structuredContent"]["data"]["total"] == 1
    form = {"token": report["tokens"]["refresh_token"], "client_id": report["client_id"]}
    assert httpx2.post(f"{base}/oauth/revoke", data=form).status_code == 200
    headers = {"Authorization": f"Bearer {report['tokens']['access_token']}"}
    assert httpx2.post(f"{base}/api/tools/list_tasks", json={}, headers=headers).status_code == 401


@pytest.mark.parametrize("uri", ["vscode://publisher.extension/callback", "com.example.app:/cb", "myapp:callback"])
def test_a_browser_opens_the_app_of_a_private_use_scheme(base: str, person: Person, uri: str) -> None:
    """Chromium applies a page's policy for forms to the redirect too, so it would stop it if the policy forbade it."""
    metadata = {"redirect_uris": [uri], "token_endpoint_auth_method": "none"}
    client_id = httpx2.post(f"{base}/oauth/register", json=metadata).json()["client_id"]
    client = OAuthClient(httpx2.AsyncClient(), client_id, uri)
    opened = person.allow(f"{base}/oauth/authorize?{urlencode(client.question(resource=None))}")
    answer = {name: values[0] for name, values in parse_qs(urlsplit(opened).query).items()}
    assert opened.startswith(f"{uri}?") and answer["iss"] == base
    form = {"grant_type": "authorization_code", "client_id": client_id, "redirect_uri": uri, "code": answer["code"]}
    tokens = httpx2.post(f"{base}/oauth/token", data={**form, "code_verifier": client.verifier})
    assert tokens.status_code == 200 and tokens.json()["scope"] == "tasks:read tasks:write"


def test_the_conformance_suite_finds_nothing_wrong_with_the_authorization_server(
    node: Path, base: str, person: Person, tmp_path: Path
) -> None:
    port = free_port()
    metadata = {"redirect_uris": [f"http://127.0.0.1:{port}/callback"], "token_endpoint_auth_method": "none"}
    client_id = httpx2.post(f"{base}/oauth/register", json=metadata).json()["client_id"]
    suite = ["node_modules/.bin/conformance", "authorization", "--url", base, "--client-id", client_id]
    with _program(node, *suite, "--resource", f"{base}/mcp", "-p", str(port), "-o", str(tmp_path)) as program:
        assert program.stdout
        question = next(line for line in program.stdout if line.startswith(f"{base}/oauth/authorize"))
        person.allow(question.strip())
        printed, complaints = program.communicate(timeout=SECONDS)
    checks = [check for path in tmp_path.glob("*/checks.json") for check in json.loads(path.read_text())]
    failed = [check for check in checks if check["status"] not in ("SUCCESS", "INFO", "SKIPPED")]
    assert not failed and program.returncode == 0, printed + complaints
    assert len({check["id"] for check in checks if check["status"] == "SUCCESS"}) >= 2


def test_the_example_of_a_chat_backend_runs(database: Database, tmp_path: Path) -> None:
    secret = "a secret of the chat backend, of more than 32 bytes"
    issuer = {"issuer": "chat", "audience": "todo", "family": "HS", "secret": secret, "unknown_subjects": "create"}
    server = ServerProcess(database, tmp_path / "log", JWT_ISSUERS=json.dumps([issuer]))
    example = HERE.parent.parent / "docs" / "examples" / "chat_backend.py"
    try:
        environment = {**os.environ, "CHAT_SECRET": secret, "TODO_URL": server.url}
        printed = run(sys.executable, example, "new-person", "Call the bank", env=environment)
    finally:
        server.close()
    assert "Call the bank" in printed and "Showing all 1" in printed, printed
