"""``GET /api/due``: what is due in a window of time, of all users, for a chat backend that reminds them."""

import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tasks.models import Task
from tasks.reminders import services
from tasks.reminders.services import list_due
from tests.support.application import Orm
from tests.support.factories import TaskFactory, UserFactory
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import RESOURCES
from todo_mcp.dates.zones import at, find_zone
from todo_mcp.users.models import User

ZONES = ["", "Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Midway", "Australia/Lord_Howe"]


def utc(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def add(zone: str = "", **fields: Any) -> int:
    user, _ = User.objects.get_or_create(pk=zone or "no-zone", defaults={"time_zone": zone})
    task: Task = TaskFactory.create(user=user, **fields)
    return task.pk


def due(start: datetime, end: datetime, **arguments: Any) -> list[int]:
    return [task["task_id"] for task in list_due(from_=start, to=end, **arguments).tasks]


def all_pages(start: datetime, end: datetime, limit: int) -> list[int]:
    """The ids on all pages. Each page but the last says that there are more."""
    ids: list[int] = []
    cursor = None
    for _ in range(1000):
        page = (
            RESOURCES["list_due"]
            .run(
                RESOURCES["list_due"].validate(
                    {"from": start.isoformat(), "to": end.isoformat(), "limit": limit}
                    | ({"cursor": cursor} if cursor else {})
                )
            )
            .data()
        )
        assert len(page["tasks"]) <= limit
        ids += [task["task_id"] for task in page["tasks"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        cursor = page["next_cursor"]
        if cursor is None:
            return ids
    raise AssertionError("the pages never end")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "fields", "moment", "shown"),
    [
        ("", {"due_on": date(2026, 11, 27)}, utc(27, 9), "2026-11-27"),
        ("Europe/Berlin", {"due_on": date(2026, 11, 27)}, utc(27, 8), "2026-11-27"),
        ("Asia/Kolkata", {"due_on": date(2026, 11, 27)}, utc(27, 3, 30), "2026-11-27"),
        ("Pacific/Kiritimati", {"due_on": date(2026, 11, 27)}, utc(26, 19), "2026-11-27"),
        ("Pacific/Midway", {"due_on": date(2026, 11, 27)}, utc(27, 20), "2026-11-27"),
        ("Europe/Berlin", {"due_at": utc(27, 15)}, utc(27, 15), "2026-11-27T16:00+01:00"),
        ("", {"due_at": utc(27, 15)}, utc(27, 15), "2026-11-27T15:00+00:00"),
        # The clocks of Lord Howe are 11 hours ahead in November.
        ("Australia/Lord_Howe", {"due_on": date(2026, 11, 27)}, utc(26, 22), "2026-11-27"),
    ],
)
def test_a_task_is_in_the_windows_that_hold_its_moment(
    zone: str, fields: dict[str, Any], moment: datetime, shown: str
) -> None:
    task_id = add(zone, title="Call", **fields)
    minute = timedelta(minutes=1)
    expected = {"user_id": zone or "no-zone", "task_id": task_id, "title": "Call", "due": shown}
    assert list_due(from_=moment, to=moment + minute).tasks == [expected]
    assert due(moment - timedelta(days=31), moment) == due(moment + minute, moment + 31 * minute) == []
    assert due(moment - timedelta(days=30), moment + minute) == [task_id]
    assert due(moment, moment) == []


@pytest.mark.django_db
def test_only_open_tasks_of_active_users_are_due() -> None:
    now = timezone.now()
    for fields in ({"completed": True, "completed_at": now}, {"deleted_at": now}):
        add(due_on=date(2026, 11, 27), **fields)
        add(due_at=utc(27, 9), **fields)
    add("Europe/Berlin", due_on=date(2026, 11, 27))
    add("Europe/Berlin", due_at=utc(27, 9))
    User.objects.filter(pk="Europe/Berlin").update(is_active=False)
    assert due(utc(20), utc(30)) == []
    User.objects.update(is_active=True)
    assert len(due(utc(20), utc(30))) == 2


tasks_due = st.tuples(
    st.sampled_from(ZONES), st.booleans(), st.integers(0, 5), st.sampled_from([0, 540, 541, 1439]), st.booleans()
)


@given(
    st.lists(tasks_due, max_size=25),
    st.integers(0, 6 * 24 * 60),
    st.integers(0, 6 * 24 * 60),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_the_pages_together_have_each_task_of_the_window_once_and_in_order(
    rows: list[Any], offset: int, length: int, limit: int, reads_max: int
) -> None:
    """Compared with a plain reading of all tasks, which computes each moment by itself."""
    start = utc(24) + timedelta(minutes=offset)
    end = start + timedelta(minutes=length)
    Task.objects.all().delete()
    expected = []
    for zone, is_day, day, minute, is_open in rows:
        day_of_month = date(2026, 11, 24) + timedelta(days=day)
        moment = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(days=day, minutes=minute)
        done = {} if is_open else {"completed": True, "completed_at": moment}
        task_id = add(zone, **({"due_on": day_of_month} if is_day else {"due_at": moment}), **done)
        if is_day:
            moment = at(day_of_month, services.REMIND_AT, find_zone(zone or "UTC")).astimezone(UTC)
        if is_open and start <= moment < end:
            expected.append((moment, task_id))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "READS_MAX", reads_max)
        assert all_pages(start, end, limit) == [task_id for _, task_id in sorted(expected)]


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        ("2026-11-27T09:00Z", utc(27, 9)),
        ("2026-11-27T09:00:30.5+00:00", utc(27, 9) + timedelta(seconds=30.5)),
        ("2026-11-27T10:00+01:00", utc(27, 9)),
        ("2026-11-27T10:00 01:00", utc(27, 9)),  # a plus in a query, not percent-encoded
        ("2026-11-27T03:30-0530", utc(27, 9)),
    ],
)
def test_a_moment_has_an_offset(sent: str, moment: datetime) -> None:
    assert RESOURCES["list_due"].validate({"from": sent, "to": sent}) == {"from": moment, "to": moment}


@pytest.mark.parametrize(
    "sent",
    [
        "2026-11-27", "2026-11-27T09:00", "tomorrow", "1764234000", "2026-11-27T25:00Z", "2026-02-30T09:00Z",
        "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00", "2026-11-27T09:00+99:00", "2026-W48-5T09:00Z", "x" * 9999,
        "2026-11-27T09:00Z\n", "٢٠٢٦-11-27T09:00Z", 7,
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_an_example(sent: object) -> None:
    with pytest.raises(InvalidArguments) as refused:
        RESOURCES["list_due"].validate({"from": sent, "to": "2026-11-27T09:00Z"})
    assert list(refused.value.details["fields"]) == ["from"]


@pytest.mark.django_db
@pytest.mark.parametrize("length", [timedelta(minutes=-1), timedelta(days=31, seconds=1), timedelta(days=-400)])
def test_a_window_has_at_most_31_days_and_ends_after_it_begins(length: timedelta) -> None:
    with pytest.raises(InvalidArguments) as refused:
        list_due(from_=utc(27), to=utc(27) + length)
    assert "31 days" in refused.value.details["fields"]["to"]


@pytest.mark.django_db
def test_one_page_makes_a_bounded_number_of_queries(django_assert_max_num_queries: Any) -> None:
    zones = ["Asia/Kolkata", "Europe/Berlin", "Asia/Tokyo", "America/New_York", "America/St_Johns", ""]
    for zone, day in itertools.product(zones, range(1, 31)):
        add(zone, due_on=date(2026, 11, day))
    with django_assert_max_num_queries(3 + services.READS_MAX):
        page = list_due(from_=utc(1), to=utc(30), limit=500)
    assert page.has_more and len(page.tasks) == services.READS_MAX
    assert len(all_pages(utc(1), utc(30), 500)) == len(zones) * 29


# Over HTTP.
WINDOW = {"from": "2026-11-27T00:00Z", "to": "2026-11-28T00:00Z"}
Get = Callable[..., Any]


async def get(http: httpx2.AsyncClient, token: str, **query: Any) -> httpx2.Response:
    return await http.get("/api/due", params={**WINDOW, **query}, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.anyio
async def test_a_service_reads_the_tasks_of_all_users(http: httpx2.AsyncClient, orm: Orm) -> None:
    first = await orm(lambda: add("Europe/Berlin", title="Call", due_on=date(2026, 11, 27)))
    second = await orm(lambda: add(title="Buy", due_at=utc(27, 9)))
    token = await orm(lambda: issue_token(service="chat"))
    answer = await get(http, token)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "tasks": [
                {"user_id": "Europe/Berlin", "task_id": first, "title": "Call", "due": "2026-11-27"},
                {"user_id": "no-zone", "task_id": second, "title": "Buy", "due": "2026-11-27T09:00+00:00"},
            ],
            "has_more": False,
            "next_cursor": None,
        },
    )
    page = (await get(http, token, limit=1)).json()
    assert [task["task_id"] for task in page["tasks"]] == [first] and page["has_more"]
    rest = (await get(http, token, limit=1, cursor=page["next_cursor"])).json()
    assert [task["task_id"] for task in rest["tasks"]] == [second] and not rest["has_more"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("scopes", "user_id"),
    [
        (None, "alice"),
        (["tasks:read", "tasks:write"], None),
        (["tasks:act_as"], None),
        (["tasks:act_as", "tasks:write"], None),
    ],
)
@pytest.mark.parametrize("query", [{}, {"from": "soon"}, {"limit": "501"}, {"user_id": "alice"}])
async def test_other_tokens_are_forbidden_and_learn_nothing_about_their_arguments(
    http: httpx2.AsyncClient, orm: Orm, alice: User, scopes: Any, user_id: str | None, query: dict[str, str]
) -> None:
    service = None if user_id else "chat"
    token = await orm(lambda: issue_token(user_id=user_id, service=service, scopes=scopes))
    answer = await get(http, token, **query)
    assert (answer.status_code, answer.json()["data"]["error"]) == (403, "forbidden")


@pytest.mark.anyio
async def test_without_a_token_nothing_is_read(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/api/due", params=WINDOW)).status_code == 401
    assert (await get(http, "todo_wrong")).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 501}, "limit"),
        ({"limit": 0}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"user_id": "alice"}, "user_id"),
        ({"from": "2026-11-27"}, "from"),
        ({"to": "2027-11-27T00:00Z"}, "to"),
        ({"to": ""}, "to"),
        ({"from_": "2026-11-27T00:00Z"}, "from_"),
    ],
)
async def test_wrong_arguments_are_named(http: httpx2.AsyncClient, orm: Orm, query: dict[str, Any], field: str) -> None:
    token = await orm(lambda: issue_token(service="chat"))
    answer = await get(http, token, **query)
    assert answer.status_code == 400 and field in answer.json()["data"]["fields"]


@pytest.mark.anyio
async def test_the_openapi_document_describes_it(http: httpx2.AsyncClient) -> None:
    document = (await http.get("/api/schema", headers={"Accept": "application/json"})).json()
    described = document["paths"]["/api/due"]["get"]
    required = {parameter["name"]: parameter.get("required", False) for parameter in described["parameters"]}
    assert required == {"from": True, "to": True, "limit": False, "cursor": False}
    assert described["tags"] == ["tasks"] and "tasks:act_as" in described["description"]


@pytest.mark.django_db
def test_a_users_zone_that_no_longer_exists_counts_as_utc() -> None:
    user = UserFactory.create(id="old")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users SET time_zone = 'Mars/Olympus' WHERE id = 'old'")
    task = TaskFactory.create(user=user, due_on=date(2026, 11, 27))
    assert due(utc(27, 9), utc(27, 10)) == [task.pk]
