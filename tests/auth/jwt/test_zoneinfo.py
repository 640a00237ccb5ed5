"""The claim ``zoneinfo`` (OpenID Connect Core, section 5.1) gives a person without a time zone that zone, once."""

from typing import Any

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.issuers import Configure, claims, signed
from tests.support.caller import DOORS, Caller
from todo_mcp.users.models import User
from todo_mcp.users.services import set_time_zone

pytestmark = pytest.mark.anyio


async def zone_after_a_call(http: httpx2.AsyncClient, orm: Orm, user_id: str = "alice", **more: Any) -> str:
    """The stored zone of the user, after a call with a token that has these claims."""
    caller = Caller(http, signed(claims(sub=user_id, **more)))
    assert (await caller.call("http", "list_tasks"))["status"] == "success"
    zone: str = await orm(lambda: User.objects.get(pk=user_id).time_zone)
    return zone


@pytest.mark.parametrize(
    ("claim", "stored"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("America/New York", "America/New_York"),
        ("Mars/Olympus", ""),
        ("XYZ", ""),
        ("+01:00", ""),
        ("", ""),
        ("x" * 1000, ""),
        (None, ""),
        (1, ""),
        (["Europe/Berlin"], ""),
        ({"name": "Europe/Berlin"}, ""),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_the_claim_is_stored_if_it_names_a_zone_and_never_refuses_a_call(
    http: httpx2.AsyncClient, alice: User, configure: Configure, orm: Orm, claim: object, stored: str
) -> None:
    configure()
    assert await zone_after_a_call(http, orm, zoneinfo=claim) == stored


async def test_a_person_who_has_a_zone_keeps_it(
    http: httpx2.AsyncClient, alice: User, configure: Configure, orm: Orm
) -> None:
    configure()
    await orm(lambda: set_time_zone(user_id="alice", time_zone="Asia/Tokyo"))
    assert await zone_after_a_call(http, orm, zoneinfo="Europe/Berlin") == "Asia/Tokyo"


async def test_a_new_person_gets_the_zone_with_the_first_call(
    http: httpx2.AsyncClient, configure: Configure, orm: Orm
) -> None:
    configure(unknown_subjects="create")
    assert await zone_after_a_call(http, orm, "new-person", zoneinfo="Europe/Berlin") == "Europe/Berlin"


@pytest.mark.parametrize("door", DOORS)
async def test_the_call_that_brings_the_zone_reads_its_days_there(
    http: httpx2.AsyncClient, alice: User, configure: Configure, door: str
) -> None:
    configure()
    caller = Caller(http, signed(claims(zoneinfo="Pacific/Kiritimati")))
    added = await caller.call(door, "add_task", title="Call", due="tomorrow 9am")
    assert added["data"]["due"].endswith("T09:00+14:00") and "time_zone_unknown" not in added["data"]


async def test_the_claim_of_a_services_own_token_changes_nobodys_zone(
    http: httpx2.AsyncClient, alice: User, configure: Configure, orm: Orm
) -> None:
    configure(act_as_clients=["chat"])
    token = signed(claims(sub="chat", client_id="chat", zoneinfo="Europe/Berlin", scope="tasks:read"))
    await Caller(http, token).call("http", "list_tasks", user_id="alice")
    assert set(await orm(lambda: list(User.objects.values_list("time_zone", flat=True)))) == {""}
