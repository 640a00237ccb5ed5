"""What a caller sees of quotas, through each door."""

import asyncio
from typing import Any

import pytest
from django.db.models import QuerySet
from pytest_django.fixtures import Settings

from tasks.models import Task, TaskEvent
from tests.quotas.using_up import learn
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from todo_mcp.idempotency.models import IdempotencyKey
from todo_mcp.quotas import usage
from todo_mcp.quotas.usage import today, usages
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
KEY = "a-key-of-my-own"


def refusal_of(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["data"]["error"] == "quota_exceeded", answer
    assert answer["data"]["error_code"] == 403
    assert answer["message"].startswith("Nothing was done: ")
    data: dict[str, Any] = answer["data"]
    return data


@pytest.fixture
def four_tasks(settings: Settings) -> None:
    settings.QUOTA_TASKS = 4


@pytest.mark.parametrize("door", DOORS)
async def test_tasks_are_added_up_to_the_quota_and_not_beyond(as_alice: Caller, door: str, four_tasks: None) -> None:
    for count in range(3):
        assert (await as_alice.call(door, "add_task", title=f"Task {count}"))["status"] == "success"
    two = [{"title": "Four"}, {"title": "Five"}]
    assert refusal_of(await as_alice.call(door, "add_task", tasks=two))["used"] == 3
    assert (await as_alice.call(door, "add_task", title="Four", due="tomorrow"))["status"] == "success"
    answer = await as_alice.call(door, "add_task", title="Five")
    assert refusal_of(answer) == {
        "error_code": 403, "error": "quota_exceeded", "quota": "tasks", "limit": 4, "used": 4,
    }  # fmt: skip
    assert "delete_task" in answer["message"]
    assert (await as_alice.call(door, "list_tasks"))["data"]["total"] == 4


async def test_a_deleted_task_makes_room_at_once_and_a_restored_one_takes_it(
    as_alice: Caller, four_tasks: None
) -> None:
    ids = [(await as_alice.call("http", "add_task", title=f"Task {n}"))["data"]["task_id"] for n in range(4)]
    await as_alice.call("http", "delete_task", task_id=ids[0])
    assert (await as_alice.call("http", "add_task", title="New"))["status"] == "success"
    await as_alice.call("http", "delete_task", task_ids=ids[1:3])
    undo = (await as_alice.call("http", "delete_task", match="Task 3"))["data"]["undo"]
    assert (await as_alice.call("http", "update_task", undo=undo))["status"] == "success"
    assert (await as_alice.call("http", "update_task", task_id=ids[1], restore=True))["status"] == "success"
    assert (await as_alice.call("http", "update_task", task_ids=ids[:1], restore=True))["status"] == "success"
    refusal_of(await as_alice.call("http", "add_task", title="One more"))


async def test_a_user_beyond_every_quota_completes_deletes_restores_and_undoes(
    as_alice: Caller, alice: User, settings: Settings, orm: Orm
) -> None:
    added = (await as_alice.call("http", "add_task", title="Water", repeat="every day"))["data"]
    other = (await as_alice.call("http", "add_task", title="Other"))["data"]
    for name in ("TASKS", "BYTES", "WRITES", "VERSIONS"):
        setattr(settings, f"QUOTA_{name}", 1)
    learn(tasks=9, size=9, writes=9)
    refusal_of(await as_alice.call("http", "add_task", title="New"))
    refusal_of(await as_alice.call("http", "update_task", task_id=other["task_id"], title="New"))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("complete_task", {"task_id": added["task_id"]}),
        ("complete_task", {"task_ids": [other["task_id"]]}),
        ("delete_task", {"task_ids": [added["task_id"], other["task_id"]]}),
        ("update_task", {"task_id": other["task_id"], "restore": True}),
        ("update_task", {"match": "Water", "restore": True, "time_zone": "UTC"}),
        ("delete_task", {"task_id": other["task_id"]}),
    ]
    undos = []
    for tool, arguments in calls:
        answer = await as_alice.call("http", tool, **arguments)
        assert answer["status"] == "success", (tool, arguments, answer)
        undos.append(answer["data"]["undo"])
    assert (await as_alice.call("http", "update_task", undo=undos[-1]))["status"] == "success"
    assert await orm(lambda: Task.objects.filter(title="Water", completed=False).count()) == 1, "the next occurrence"


@pytest.mark.parametrize("change", [{"title": "New"}, {"due": "tomorrow"}, {"priority": "high"}, {"append": "more"}])
async def test_a_restore_with_another_change_is_a_change(
    as_alice: Caller, settings: Settings, change: dict[str, str]
) -> None:
    task_id = (await as_alice.call("http", "add_task", title="Milk"))["data"]["task_id"]
    settings.QUOTA_WRITES = 1
    refusal_of(await as_alice.call("http", "update_task", task_id=task_id, restore=True, **change))


CHANGES: list[dict[str, Any]] = [
    {"title": "New"},
    {"title": "New", "description": "New"},
    {"description": "New"},
    {"clear": ["description"]},
    {"due": "tomorrow"},
    {"append": "more"},
    {"add_tags": ["home"]},
    {"check": ["*"]},
    {"reopen": True},
    {"expected_version": 1, "title": "New"},
]


@pytest.fixture
async def task(as_alice: Caller, orm: Orm) -> Task:
    return await orm(
        lambda: TaskFactory.create(
            user_id="alice", title="Milk", description="Oat", checklist=[{"text": "one", "done": False}]
        )
    )


@pytest.mark.parametrize("quota", ["writes", "versions", "bytes"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: "-".join(one))
async def test_each_kind_of_change_is_refused_beyond_the_quota_and_changes_nothing(
    as_alice: Caller, task: Task, settings: Settings, orm: Orm, change: dict[str, Any], quota: str
) -> None:
    if "reopen" in change:
        await as_alice.call("http", "complete_task", task_id=task.pk)
    setattr(settings, f"QUOTA_{quota.upper()}", 1)
    learn(size=1, writes=1)
    before = await orm(lambda: Task.objects.values().get())
    for names in ({"task_id": task.pk}, {"match": "Milk"}, {"task_ids": [task.pk]}):
        if "expected_version" in change and "task_ids" in names:
            continue
        answer = await as_alice.call("http", "update_task", **names, **change)
        assert refusal_of(answer)["quota"] == quota
    if "title" in change and len(change) == 1:
        each = [{"task_id": task.pk, **change}]
        assert refusal_of(await as_alice.call("http", "update_task", tasks=each))["quota"] == quota
    assert await orm(lambda: Task.objects.values().get()) == before


async def test_a_new_time_zone_is_a_write_and_the_same_one_gets_its_answer(
    as_alice: Caller, settings: Settings, orm: Orm
) -> None:
    assert (await as_alice.call("http", "update_task", time_zone="Europe/Berlin"))["status"] == "success"
    settings.QUOTA_WRITES = 1
    learn(size=1, writes=1)
    assert refusal_of(await as_alice.call("http", "update_task", time_zone="Asia/Tokyo"))["quota"] == "writes"
    assert (await as_alice.call("http", "update_task", time_zone="Europe/Berlin"))["status"] == "success"
    assert (await orm(lambda: User.objects.get(pk="alice"))).time_zone == "Europe/Berlin"


@pytest.mark.parametrize("change", [{"title": "Milk"}, {"title": "Milk", "description": "Oat"}, {"priority": "none"}])
async def test_a_change_that_changes_nothing_gets_its_answer_beyond_every_quota(
    as_alice: Caller, task: Task, settings: Settings, change: dict[str, str]
) -> None:
    for name in ("BYTES", "WRITES", "VERSIONS"):
        setattr(settings, f"QUOTA_{name}", 1)
    learn(size=1, writes=1)
    answer = await as_alice.call("http", "update_task", task_id=task.pk, **change)
    assert answer["status"] == "success"
    assert "Nothing changed" in answer["message"]


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_that_is_repeated_with_its_key_gets_its_answer_beyond_the_quota(
    as_alice: Caller, door: str, settings: Settings
) -> None:
    settings.QUOTA_WRITES = settings.QUOTA_TASKS = 2
    added = await as_alice.call(door, "add_task", title="Milk", idempotency_key=KEY)
    task_id = added["data"]["task_id"]
    changed = await as_alice.call(door, "update_task", task_id=task_id, title="Bread", idempotency_key=KEY)
    refusal_of(await as_alice.call(door, "add_task", title="Salt", idempotency_key=f"{KEY}-2"))
    again = await as_alice.call(door, "add_task", title="Milk", idempotency_key=KEY)
    assert again["data"] == added["data"]
    again = await as_alice.call(door, "update_task", task_id=task_id, title="Bread", idempotency_key=KEY)
    assert again["data"] == changed["data"]


async def test_keeping_the_answer_of_a_call_that_changes_nothing_is_a_write_up_to_the_quota(
    as_alice: Caller, task: Task, settings: Settings, orm: Orm
) -> None:
    """Otherwise the keys of such calls could fill the disk."""
    settings.QUOTA_WRITES = 3
    for number in range(5):
        answer = await as_alice.call(
            "http", "update_task", task_id=task.pk, priority="none", idempotency_key=f"{KEY}-{number}"
        )
        assert "Nothing changed" in answer["message"]
    assert await orm(IdempotencyKey.objects.count) == usages.take()["alice"].writes == 3


async def test_concurrent_calls_with_one_key_are_one_write(as_alice: Caller, orm: Orm) -> None:
    calls = (as_alice.call("http", "add_task", title="Milk", idempotency_key=KEY) for _ in range(10))
    assert {answer["status"] for answer in await asyncio.gather(*calls)} == {"success"}
    use = usages.take()["alice"]
    assert (use.tasks, use.writes) == (await orm(Task.objects.count), 1) == (1, 1)


async def test_a_repetition_that_a_concurrent_call_leaves_no_quota_gets_its_answer(
    as_alice: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call with the key commits after the repetition has looked for the key, and before it checks the quota."""
    settings.QUOTA_WRITES = 1
    found = list[IdempotencyKey]()
    look = QuerySet.first

    def overtaken(rows: QuerySet[Any]) -> Any:
        row = look(rows)
        if isinstance(row, IdempotencyKey):
            found.append(row)
            return None if len(found) == 1 else row
        return row

    monkeypatch.setattr(QuerySet, "first", overtaken)
    added = await as_alice.call("http", "add_task", title="Milk", idempotency_key=KEY)
    again = await as_alice.call("http", "add_task", title="Milk", idempotency_key=KEY)
    assert again["data"] == added["data"]
    assert len(found) == 2
    refusal_of(await as_alice.call("http", "add_task", title="Salt", idempotency_key=f"{KEY}-2"))


async def test_each_task_of_a_call_is_a_write(as_alice: Caller, settings: Settings) -> None:
    settings.QUOTA_WRITES = 7
    data = (await as_alice.call("http", "add_task", tasks=[{"title": "One"}, {"title": "Two"}, {"title": "Three"}]))[
        "data"
    ]
    ids = [task["task_id"] for task in data["tasks"]]
    await as_alice.call("http", "update_task", task_ids=ids, priority="high")
    await as_alice.call("http", "update_task", task_ids=ids, priority="high")  # changes nothing, so it is no write
    assert refusal_of(await as_alice.call("http", "update_task", task_ids=ids[:2], title="New"))["used"] == 6
    assert (await as_alice.call("http", "update_task", task_id=ids[0], title="New"))["status"] == "success"
    assert refusal_of(await as_alice.call("http", "add_task", title="New"))["used"] == 7


@pytest.mark.parametrize("door", DOORS)
async def test_writes_begin_anew_the_next_day(
    as_alice: Caller, door: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUOTA_WRITES = 1
    await as_alice.call(door, "add_task", title="One")
    answer = await as_alice.call(door, "add_task", title="Two")
    assert 1 <= refusal_of(answer)["retry_after"] <= 86_400
    assert "midnight" in answer["message"]
    if door == "http":
        response = await as_alice.post("add_task", title="Two")
        assert int(response.headers["Retry-After"]) == response.json()["data"]["retry_after"]
    tomorrow = today() + 1
    monkeypatch.setattr(usage, "today", lambda: tomorrow)
    assert (await as_alice.call(door, "add_task", title="Two"))["status"] == "success"
    refusal_of(await as_alice.call(door, "add_task", title="Three"))


async def test_the_quotas_of_alice_do_not_touch_bob(as_alice: Caller, as_bob: Caller, settings: Settings) -> None:
    settings.QUOTA_TASKS = settings.QUOTA_WRITES = 1
    await as_alice.call("http", "add_task", title="One")
    refusal_of(await as_alice.call("http", "add_task", title="Two"))
    assert (await as_bob.call("http", "add_task", title="One"))["status"] == "success"


async def test_a_service_is_refused_for_the_user_it_acts_for(
    as_service: Caller, alice: User, bob: User, settings: Settings
) -> None:
    settings.QUOTA_TASKS = 1
    learn("alice", tasks=1)
    refusal_of(await as_service.call("http", "add_task", title="Two", user_id="alice"))
    assert (await as_service.call("http", "add_task", title="One", user_id="bob"))["status"] == "success"


async def test_without_quotas_nothing_is_refused(as_alice: Caller, task: Task, settings: Settings) -> None:
    for name in ("TASKS", "BYTES", "WRITES", "VERSIONS", "MESSAGES"):
        setattr(settings, f"QUOTA_{name}", 0)
    learn(tasks=10**9, size=10**15, writes=10**9)
    assert (await as_alice.call("http", "add_task", title="One"))["status"] == "success"
    for change in CHANGES[:3]:
        assert (await as_alice.call("http", "update_task", task_id=task.pk, **change))["status"] == "success"


async def test_stored_bytes_are_those_of_all_versions(as_alice: Caller, settings: Settings, orm: Orm) -> None:
    """An update of the title stores the whole task once more."""
    checklist = ["ü" * 200] * 5
    data = (await as_alice.call("http", "add_task", title="Long", checklist=[f"{n}{text}"[:200] for n, text in
                                                                          enumerate(checklist)]))["data"]  # fmt: skip
    first = usages.take()["alice"].bytes
    assert 2000 + usage.ROW_BYTES < first < 3000 + usage.ROW_BYTES
    await as_alice.call("http", "update_task", task_id=data["task_id"], title="Longer")
    assert abs(usages.take()["alice"].bytes - first) < 10
    await as_alice.call("http", "complete_task", task_id=data["task_id"])
    assert abs(usages.take()["alice"].bytes - first) < 10
    assert await orm(TaskEvent.objects.count) == 3


async def test_a_task_with_a_thinned_history_takes_changes_again(
    as_alice: Caller, task: Task, settings: Settings, orm: Orm
) -> None:
    settings.QUOTA_VERSIONS = 3
    for title in ("One", "Two"):
        assert (await as_alice.call("http", "update_task", task_id=task.pk, title=title))["status"] == "success"
    assert refusal_of(await as_alice.call("http", "update_task", task_id=task.pk, title="Three"))["task_ids"] == [
        task.pk
    ]
    await orm(lambda: Task.objects.update(thinned=1))
    assert (await as_alice.call("http", "update_task", task_id=task.pk, due="tomorrow"))["status"] == "success"
    refusal_of(await as_alice.call("http", "update_task", task_id=task.pk, priority="low"))
