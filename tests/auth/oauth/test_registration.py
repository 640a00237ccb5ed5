"""Dynamic client registration: which clients are refused, how often it may be used, and that it grants no token."""

from typing import Any

import httpx2
import pytest
from oauth2_provider.models import Application

from tests.support.application import Orm
from tests.support.auth.oauth_client import register
from tests.support.caller import Caller

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "metadata",
    [
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"]},
        {"grant_types": []},
        {"redirect_uris": []},
        {"redirect_uris": ["http://evil.example/cb"]},
        {"redirect_uris": ["https://app.example/cb#x"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": "https://app.example/cb"},
        {"redirect_uris": ["https://app.example/cb https://evil.example"]},
        {"client_name": "x" * 256},
        {"client_name": 7},
        {"client_name": "x" * 20_000},
    ],
    ids=lambda metadata: str(metadata)[:60],
)
async def test_an_unsupported_client_cannot_register(
    http: httpx2.AsyncClient, orm: Orm, metadata: dict[str, Any]
) -> None:
    answer = await register(http, **metadata)
    assert answer.status_code == 400 and answer.json()["error"].startswith("invalid_"), answer.text
    assert await orm(Application.objects.count) == 0


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "[" * 100_000, "7"], ids=lambda body: body[:4] or "empty")
async def test_registration_accepts_only_an_object(http: httpx2.AsyncClient, body: str) -> None:
    assert (await http.post("/oauth/register", content=body)).status_code == 400


async def test_registrations_from_one_address_are_limited(http: httpx2.AsyncClient) -> None:
    statuses = [(await register(http)).status_code for _ in range(61)]
    assert statuses[:60] == [201] * 60 and statuses[60] == 429


@pytest.mark.parametrize("sent", [None, ["authorization_code"], ["authorization_code", "refresh_token", "implicit"]])
async def test_the_answer_lists_the_grants_of_the_client(http: httpx2.AsyncClient, sent: list[str] | None) -> None:
    answer = (await register(http, grant_types=sent)).json()
    assert answer["grant_types"] == ["authorization_code", "refresh_token"] and answer["response_types"] == ["code"]


async def test_a_self_registered_client_gets_no_token_of_its_own(http: httpx2.AsyncClient) -> None:
    registration = (await register(http, token_endpoint_auth_method="client_secret_post")).json()
    credentials = {"client_id": registration["client_id"], "client_secret": registration["client_secret"]}
    answer = await http.post("/oauth/token", data={"grant_type": "client_credentials", **credentials})
    assert answer.status_code == 400
    refusal = await Caller(http, registration["client_secret"]).post("list_tasks")
    assert refusal.status_code == 401
