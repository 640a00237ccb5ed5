"""A user's time zone: set by a command, in the admin and by services, and always an IANA name in its exact spelling."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.core.errors import UserNotFound
from todo_mcp.dates.zones import UnknownZone
from todo_mcp.users.models import User
from todo_mcp.users.services import adopt_time_zone, set_time_zone

pytestmark = pytest.mark.django_db

WRONG = [
    "Mars/Olympus",
    "XYZ",
    "Factory",
    "+02:00",
    "GMT+2",
    "Europe",
    "../UTC",
    "x" * 500,
    "Europe/Berlin\u202e",
]
SPELLINGS = [("Europe/Berlin", "Europe/Berlin"), ("europe/BERLIN", "Europe/Berlin"), ("US/Eastern", "US/Eastern")]


def zone_of(user_id: str) -> str:
    return User.objects.get(pk=user_id).time_zone


@pytest.mark.parametrize(("sent", "stored"), [*SPELLINGS, ("", "")])
def test_create_user_stores_a_zone_in_its_exact_spelling(sent: str, stored: str) -> None:
    call_command("create_user", "sam", "--time-zone", sent, stdout=StringIO())
    assert zone_of("sam") == stored


@pytest.mark.parametrize("sent", WRONG)
def test_create_user_refuses_what_is_no_zone_and_creates_nobody(sent: str) -> None:
    with pytest.raises(CommandError, match=r"Europe/Berlin|at most 64 characters"):
        call_command("create_user", "sam", f"--time-zone={sent}")
    assert not User.objects.exists()


@pytest.mark.parametrize("sent", WRONG)
def test_services_refuse_what_is_no_zone(alice: User, sent: str) -> None:
    with pytest.raises(UnknownZone):
        set_time_zone(user_id="alice", time_zone=sent)
    assert adopt_time_zone(user_id="alice", time_zone=sent) == "" == zone_of("alice")


def test_setting_the_zone_of_nobody_is_an_error() -> None:
    with pytest.raises(UserNotFound):
        set_time_zone(user_id="nobody", time_zone="UTC")


def form(**changes: Any) -> dict[str, Any]:
    return {"id": "alice", "name": "Alice", "email": "", "time_zone": "", **changes}


@pytest.mark.parametrize(("sent", "stored"), [*SPELLINGS, ("", "")])
def test_an_operator_changes_the_zone_of_a_user(operator: User, alice: User, sent: str, stored: str) -> None:
    set_time_zone(user_id="alice", time_zone="Asia/Tokyo")
    client, url = sign_in(operator), f"{LISTS['users']}alice/change/"
    assert '<option value="Asia/Tokyo" selected>' in client.get(url).content.decode()
    assert client.post(url, form(time_zone=sent)).status_code == 302
    assert zone_of("alice") == stored
    assert (stored or "—") in client.get(LISTS["users"]).content.decode()


@pytest.mark.parametrize("sent", WRONG[:-1])
def test_the_admin_refuses_what_is_no_zone(operator: User, alice: User, sent: str) -> None:
    answer = sign_in(operator).post(f"{LISTS['users']}alice/change/", form(time_zone=sent))
    assert answer.status_code == 200 and zone_of("alice") == ""


def test_an_operator_adds_a_user_with_a_zone(operator: User) -> None:
    new = form(id="sam", time_zone="Asia/Tokyo", usable_password="false")
    assert sign_in(operator).post(f"{LISTS['users']}add/", new).status_code == 302
    assert zone_of("sam") == "Asia/Tokyo"


def test_an_operator_who_may_only_view_sees_the_zone_and_cannot_change_it(alice: User) -> None:
    set_time_zone(user_id="alice", time_zone="Asia/Tokyo")
    client, url = staff_with("view_user"), f"{LISTS['users']}alice/change/"
    page = client.get(url).content.decode()
    assert "Asia/Tokyo" in page and 'name="time_zone"' not in page
    assert client.post(url, form(time_zone="UTC")).status_code == 403
    assert zone_of("alice") == "Asia/Tokyo"
