"""SCIM: what identity providers send to create, change, deactivate and delete users, and what they must not reach."""

import json
from typing import Any

import httpx2
import pytest

from tasks.models import Task
from tests.support.application import Orm
from tests.support.auth.fixtures import RefusalLines
from tests.support.auth.issuers import status
from tests.support.auth.oauth_client import at_once
from tests.support.caller import Caller
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
TOKEN = "a-token-of-the-provider-of-32-characters"
# As Okta and Microsoft Entra send them.
OKTA = {
    "schemas": [USER],
    "userName": "anna@example.com",
    "name": {"givenName": "Anna", "familyName": "Berg"},
    "emails": [{"primary": True, "value": "anna@example.com", "type": "work"}],
    "displayName": "Anna Berg",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}
ENTRA = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "anna@example.com",
    "active": True,
    "emails": [{"primary": True, "type": "work", "value": "anna@example.com"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "Anna Berg", "familyName": "Berg", "givenName": "Anna"},
    "roles": [],
    ENTERPRISE: {"department": "Sales"},
}


class Provider:
    """An identity provider's SCIM client."""

    def __init__(self, http: httpx2.AsyncClient, token: str = TOKEN) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}

    async def send(self, method: str, path: str, body: Any = None, **query: Any) -> httpx2.Response:
        return await self._http.request(
            method, f"/scim/v2{path}", json=body, params=query or None, headers=self._headers
        )

    async def send_raw(self, method: str, path: str, body: bytes) -> httpx2.Response:
        return await self._http.request(method, f"/scim/v2{path}", content=body, headers=self._headers)

    async def ok(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        response = await self.send(method, path, body, **query)
        assert response.status_code in (200, 201), response.text
        assert response.headers["content-type"] == "application/scim+json"
        content: dict[str, Any] = response.json()
        return content


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


@pytest.fixture
def provider(http: httpx2.AsyncClient, settings: Any) -> Provider:
    settings.SCIM_TOKEN = TOKEN
    return Provider(http)


@pytest.mark.parametrize("person", [OKTA, ENTRA], ids=["okta", "entra"])
async def test_a_provider_looks_for_a_person_creates_and_reads_them(
    provider: Provider, orm: Orm, person: dict[str, Any]
) -> None:
    query = {"filter": 'userName eq "anna@example.com"', "startIndex": 1, "count": 100}
    assert (await provider.ok("GET", "/Users", **query))["totalResults"] == 0
    created = await provider.send("POST", "/Users", person)
    assert created.status_code == 201, created.text
    assert created.headers["location"] == "http://localhost:5000/scim/v2/Users/anna@example.com"
    assert created.json()["id"] == created.json()["userName"] == "anna@example.com"
    found = await provider.ok("GET", "/Users", **query)
    assert found["totalResults"] == 1 and found["Resources"][0]["displayName"] == "Anna Berg"
    read = await provider.ok("GET", "/Users/anna%40example.com")
    assert read["active"] and read["emails"][0]["value"] == "anna@example.com" and "password" not in read
    user = await orm(lambda: User.objects.get(pk="anna@example.com"))
    assert user.is_active and not user.has_usable_password() and not user.is_staff
    again = await provider.send("POST", "/Users", person)
    assert again.status_code == 409 and again.json()["scimType"] == "uniqueness"


@pytest.mark.parametrize(
    "body",
    [
        patch({"op": "replace", "value": {"active": False}}),
        patch({"op": "Replace", "path": "active", "value": "False"}),
        patch({"op": "replace", "path": "active", "value": False}),
        None,
    ],
    ids=["okta", "entra", "standard", "put"],
)
async def test_a_deactivated_person_loses_access_at_once_and_keeps_everything(
    provider: Provider, http: httpx2.AsyncClient, alice: User, orm: Orm, body: Any
) -> None:
    token = await orm(lambda: issue_token(user_id="alice"))
    assert (await Caller(http, token).post("add_task", title="Buy milk")).status_code == 200
    method, body = ("PATCH", body) if body else ("PUT", {"schemas": [USER], "userName": "alice", "active": False})
    response = await provider.send(method, "/Users/alice", body)
    assert response.status_code in (200, 204), response.text
    assert await status(http, token) == 401
    assert not (await provider.ok("GET", "/Users/alice"))["active"]
    await provider.send("PATCH", "/Users/alice", patch({"op": "replace", "path": "active", "value": True}))
    assert await status(http, token) == 200
    assert await orm(Task.objects.count) == 1


async def test_a_replacement_without_active_activates_nobody(provider: Provider, alice: User, orm: Orm) -> None:
    await orm(lambda: User.objects.filter(pk="alice").update(is_active=False))
    await provider.ok("PUT", "/Users/alice", {"schemas": [USER], "userName": "alice", "displayName": "Alice A."})
    user = await orm(lambda: User.objects.get(pk="alice"))
    assert not user.is_active and user.name == "Alice A."


async def test_a_change_stores_name_and_address_and_the_first_time_zone(
    provider: Provider, alice: User, orm: Orm
) -> None:
    changes = [
        {"op": "replace", "path": "displayName", "value": "Alice Adams"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "adams@example.com"},
        {"op": "add", "path": "timezone", "value": "Europe/Berlin"},
    ]
    response = await provider.send("PATCH", "/Users/alice", patch(*changes))
    assert response.status_code in (200, 204), response.text
    await provider.send("PATCH", "/Users/alice", patch({"op": "replace", "path": "timezone", "value": "Asia/Tokyo"}))
    user = await orm(lambda: User.objects.get(pk="alice"))
    assert (user.name, user.email, user.time_zone) == ("Alice Adams", "adams@example.com", "Europe/Berlin")


async def test_a_deletion_removes_the_person_and_their_data(
    provider: Provider, http: httpx2.AsyncClient, alice: User, bob: User, orm: Orm
) -> None:
    token = await orm(lambda: issue_token(user_id="alice"))
    assert (await Caller(http, token).post("add_task", title="Buy milk")).status_code == 200
    assert (await provider.send("DELETE", "/Users/alice")).status_code == 204
    assert await status(http, token) == 401
    assert not await orm(Task.objects.exists) and await orm(lambda: [user.pk for user in User.objects.all()]) == ["bob"]
    assert (await provider.send("DELETE", "/Users/alice")).status_code == 404


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"userName": ""}, "userName"),
        ({"userName": "me"}, "reserved"),
        ({"userName": " x"}, "space"),
        ({"userName": "x" * 256}, "255"),
        *(({"userName": name}, "addresses") for name in ("a/b", "a\\b", "a;b", ".", "..")),
        ({"userName": "x", "emails": [{"value": "no address"}]}, "email"),
        ({}, "user"),
    ],
    ids=str,
)
async def test_what_cannot_be_stored_is_refused(provider: Provider, orm: Orm, body: dict[str, Any], words: str) -> None:
    response = await provider.send("POST", "/Users", {"schemas": [USER], **body})
    assert response.status_code == 400 and words in response.text, response.text
    assert not await orm(User.objects.exists)


@pytest.mark.parametrize("bad", ["\x00", "\ud800", "\u202e"])
async def test_characters_that_cannot_be_stored_or_seen_do_no_harm(
    provider: Provider, alice: User, orm: Orm, bad: str
) -> None:
    for name in ("displayName", "userName", "timezone", "title"):
        body = json.dumps({"schemas": [USER], "userName": "x", name: f"a{bad}b"}).encode()
        response = await provider.send_raw("POST", "/Users", body)
        assert response.status_code in (201, 400), response.text
        await orm(lambda: User.objects.filter(pk="x").delete())
    if bad != "\ud800":  # no address can contain it
        text = f"userName eq {json.dumps(f'a{bad}b')}"
        assert (await provider.ok("GET", "/Users", filter=text))["totalResults"] == 0
    for raw in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 20_000):
        assert (await provider.send_raw("POST", "/Users", raw)).status_code == 400, raw[:20]


async def test_two_creations_at_once_make_one_user(provider: Provider, orm: Orm) -> None:
    answers = await at_once(lambda: provider.send("POST", "/Users", OKTA), 6)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_the_user_name_cannot_change(provider: Provider, alice: User) -> None:
    response = await provider.send(
        "PATCH", "/Users/alice", patch({"op": "replace", "path": "userName", "value": "bob"})
    )
    assert response.status_code == 400 and response.json()["scimType"] == "mutability"


@pytest.mark.parametrize("field", ["is_staff", "is_superuser"])
async def test_operators_are_out_of_reach(provider: Provider, alice: User, orm: Orm, field: str) -> None:
    await orm(lambda: User.objects.filter(pk="alice").update(**{field: True}))
    assert (await provider.ok("GET", "/Users"))["totalResults"] == 0
    replacement = {"schemas": [USER], "userName": "alice", "emails": [{"value": "evil@example.com"}]}
    for method, body in (("GET", None), ("PUT", replacement), ("DELETE", None)):
        assert (await provider.send(method, "/Users/alice", body)).status_code == 404
    assert (await provider.send("POST", "/Users", replacement)).status_code == 409
    assert (await orm(lambda: User.objects.get(pk="alice"))).email != "evil@example.com"


async def test_a_filter_selects_and_pages_follow_each_other(provider: Provider, orm: Orm) -> None:
    for n in range(5):
        user = {"schemas": [USER], "userName": f"user-{n}", "emails": [{"value": f"{n}@example.com"}]}
        await provider.ok("POST", "/Users", user)
    page = await provider.ok("GET", "/Users", startIndex=4, count=3)
    assert page["totalResults"] == 5 and [user["id"] for user in page["Resources"]] == ["user-3", "user-4"]
    assert (await provider.ok("GET", "/Users", startIndex=10**30))["totalResults"] == 5
    for text in ('emails.value eq "3@EXAMPLE.com"', f'{USER}:userName eq "user-3"', 'id eq "user-3"'):
        found = await provider.ok("GET", "/Users", filter=text)
        assert [user["id"] for user in found["Resources"]] == ["user-3"], text
    assert (await provider.ok("GET", "/Users", filter="active eq true"))["totalResults"] == 5
    for text in ('userName co "user"', 'title eq "x"', "userName eq true", 'active eq "x"', "userName eq", "("):
        response = await provider.send("GET", "/Users", filter=text)
        assert response.status_code == 400 and response.json()["scimType"] == "invalidFilter", text


@pytest.mark.parametrize("person", ["a b", "ä@example.com", "100%", "a?b#c", "auth0|1", "urn:x:1"])
async def test_an_address_leads_back_to_the_person(provider: Provider, person: str) -> None:
    created = await provider.send("POST", "/Users", {"schemas": [USER], "userName": person})
    assert created.status_code == 201, created.text
    path = created.json()["meta"]["location"].removeprefix("http://localhost:5000/scim/v2")
    assert (await provider.ok("GET", path))["id"] == person


async def test_the_service_describes_itself(provider: Provider) -> None:
    config = await provider.ok("GET", "/ServiceProviderConfig")
    assert config["patch"]["supported"] and not config["bulk"]["supported"]
    assert config["authenticationSchemes"][0]["type"] == "oauthbearertoken"
    types = await provider.ok("GET", "/ResourceTypes")
    assert [kind["endpoint"] for kind in types["Resources"]] == ["/Users"]
    assert (await provider.ok("GET", "/Schemas"))["totalResults"] >= 1
    for path in ("/Groups", "/Users/nobody", "/Users/nobody/x"):
        assert (await provider.send("GET", path)).status_code == 404, path


async def test_only_the_token_opens_it_and_without_one_there_is_nothing(
    provider: Provider, http: httpx2.AsyncClient, alice: User, orm: Orm, settings: Any, refusal_lines: RefusalLines
) -> None:
    service = await orm(lambda: issue_token(service="chat"))
    for token in ("", "wrong", TOKEN[:-1], TOKEN + "x", "é", service):
        for path in ("/Users", "/ServiceProviderConfig"):
            response = await http.get(f"/scim/v2{path}", headers=[(b"Authorization", f"Bearer {token}".encode())])
            assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
    assert (await http.get("/scim/v2/Users")).status_code == 401
    assert {line["rule"] for line in refusal_lines()} >= {"scim_token"}
    settings.SCIM_TOKEN = ""
    for headers in ({}, {"Authorization": "Bearer "}):
        assert (await http.get("/scim/v2/Users", headers=headers)).status_code == 404
