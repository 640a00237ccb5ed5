"""The account page on which a person sees and changes the time zone."""

import re
from typing import Any

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, hidden
from tests.support.caller import Caller
from todo_mcp.admin_kit.zone_field import ZoneField
from todo_mcp.auth.tokens import issue_token
from todo_mcp.dates.zones import find_zone, zones_by_region
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

PAGE = "/oauth/time-zone"


async def save(browser: Browser, zone: str) -> Any:
    page = await browser.get(PAGE)
    token = hidden(page.text, "/oauth/sign-out")
    return await browser.post(PAGE, {**token, "time_zone": zone})


def selected(page: str) -> list[str]:
    return re.findall(r'<option value="([^"]*)" selected>', page)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("europe/berlin", "Europe/Berlin"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Asia/Calcutta", "Asia/Calcutta"),  # a browser may say an old name
        (" Asia/Tokyo ", "Asia/Tokyo"),
        ("", ""),
    ],
)
async def test_a_person_changes_the_zone_and_the_page_shows_it(
    browser: Browser, orm: Orm, sent: str, stored: str
) -> None:
    answer = await save(browser, sent)
    assert (answer.status_code, answer.headers["location"]) == (302, PAGE)
    assert await orm(lambda: User.objects.get(pk="alice").time_zone) == stored
    page = (await browser.get(PAGE)).text
    assert selected(page) == [stored]
    assert f"<strong>{stored}</strong>" in page if stored else "not known" in page


@pytest.mark.parametrize("sent", ["Mars/Olympus", "XYZ", "+02:00", "Europe", "<b>x</b>", "x" * 101, "Europe/../UTC"])
async def test_what_is_no_zone_is_refused_with_an_example(browser: Browser, orm: Orm, sent: str) -> None:
    answer = await save(browser, sent)
    assert answer.status_code == 200 and 'role="alert"' in answer.text and "<b>x</b>" not in answer.text
    assert "Europe/Berlin" in answer.text
    assert await orm(lambda: User.objects.get(pk="alice").time_zone) == ""


async def test_the_next_call_of_a_known_token_reads_days_in_the_new_zone(
    browser: Browser, http: httpx2.AsyncClient, orm: Orm
) -> None:
    caller = Caller(http, await orm(lambda: issue_token(user_id="alice")))
    for zone in ("Asia/Tokyo", "America/New_York"):
        await caller.call("http", "list_tasks")  # the worker remembers the token with the zone before
        await save(browser, zone)
        added = await caller.call("http", "add_task", title="Call", due="tomorrow 9am")
        assert added["data"]["time_zone"] == zone


async def test_the_page_changes_the_zone_of_the_signed_in_person_alone(browser: Browser, orm: Orm) -> None:
    await orm(lambda: User.objects.create_user("bob", time_zone="Asia/Tokyo"))
    token = hidden((await browser.get(PAGE)).text, "/oauth/sign-out")
    await browser.post(f"{PAGE}?user_id=bob&id=bob", {**token, "time_zone": "UTC", "user_id": "bob", "id": "bob"})
    zones = await orm(lambda: dict(User.objects.values_list("pk", "time_zone")))
    assert (zones["alice"], zones["bob"]) == ("UTC", "Asia/Tokyo")


async def test_a_post_without_its_token_changes_nothing(browser: Browser, orm: Orm) -> None:
    assert (await browser.post(PAGE, {"time_zone": "UTC"})).status_code == 403
    assert await orm(lambda: User.objects.get(pk="alice").time_zone) == ""


async def test_only_this_account_page_may_run_a_script_and_only_a_file(browser: Browser) -> None:
    for path, runs_script in ((PAGE, True), ("/oauth/connections", False), ("/oauth/password", False)):
        page = await browser.get(path)
        policy = page.headers["Content-Security-Policy"]
        assert ("; script-src 'self'" in policy, "<script src=" in page.text) == (runs_script, runs_script), path
        assert "unsafe" not in policy and not re.search("<script>|<script (?!src=)| on[a-z]+=", page.text)


async def test_the_connected_apps_page_leads_to_the_zone(browser: Browser) -> None:
    assert f'<a href="{PAGE}">choose it</a>' in (await browser.get("/oauth/connections")).text
    await save(browser, "Asia/Tokyo")
    assert f'<a href="{PAGE}">Asia/Tokyo</a>' in (await browser.get("/oauth/connections")).text


def test_every_zone_of_the_list_is_accepted_and_each_region_is_a_group() -> None:
    regions = zones_by_region()
    assert "Europe/Berlin" in regions["Europe"] and "America/St_Johns" in regions["America"]
    for name in (name for names in regions.values() for name in names):
        assert str(find_zone(name)) == ZoneField().clean(name) == name
