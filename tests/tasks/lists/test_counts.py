"""list_tasks with ``detail: counts``."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tasks.lists.services import list_tasks
from tasks.models import Task
from tests.support.factories import TaskFactory
from tests.tasks.lists.conftest import NOW
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def counts(**arguments: Any) -> dict[str, Any]:
    answer = list_tasks(user_id="alice", own_zone="UTC", detail="counts", **arguments)
    assert (answer.tasks, answer.returned, answer.has_more, answer.next_cursor) == ([], 0, False, None)
    assert answer.counts is not None
    return answer.counts


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "no_day"),
        ({"due_on": date(2026, 11, 20)}, "overdue"),
        ({"due_on": date(2026, 11, 21)}, "today"),
        ({"due_on": date(2026, 11, 22)}, "later"),
        ({"due_at": NOW - timedelta(minutes=1)}, "overdue"),
        ({"due_at": NOW}, "today"),
        ({"due_at": datetime(2026, 11, 21, 23, 59, tzinfo=UTC)}, "today"),
        ({"due_at": datetime(2026, 11, 22, tzinfo=UTC)}, "later"),
    ],
)
def test_each_open_task_is_counted_in_one_of_four(alice: User, fields: dict[str, Any], kind: str) -> None:
    TaskFactory.create(user=alice, **fields)
    TaskFactory.create(user=alice, completed=True, completed_at=NOW, **fields)
    found = counts()
    expected = {name: int(name == kind) for name in ("overdue", "today", "later", "no_day")}
    assert {name: found[name] for name in expected} == expected
    assert (found["open"], found["completed"]) == (1, 1)


def test_open_tasks_are_counted_by_priority_and_by_tag_without_case(alice: User) -> None:
    at = NOW - timedelta(days=1)
    for number, (priority, tags) in enumerate([(0, ["Work"]), (3, ["work", "Home"]), (3, ["WORK"]), (1, [])]):
        TaskFactory.create(user=alice, priority=priority, tags=tags, created_at=at - timedelta(hours=number))
    TaskFactory.create(user=alice, completed=True, completed_at=NOW, tags=["done"])
    found = counts()
    assert found["by_priority"] == {"none": 1, "low": 1, "medium": 0, "high": 2}
    assert found["by_tag"] == {"Work": 3, "Home": 1}
    assert "more_tags" not in found


def test_at_most_50_tags_are_named_the_commonest_first(alice: User) -> None:
    for number in range(53):
        TaskFactory.create(user=alice, tags=[f"tag {number:02}"])
    TaskFactory.create(user=alice, tags=["tag 52"])
    found = counts()
    assert (len(found["by_tag"]), found["more_tags"], next(iter(found["by_tag"]))) == (50, 3, "tag 52")


def test_filters_hold_for_counts(alice: User, bob: User) -> None:
    TaskFactory.create(user=alice, due_on=date(2026, 11, 21), tags=["work"])
    TaskFactory.create(user=alice, due_on=date(2026, 11, 22))
    TaskFactory.create(user=alice, deleted_at=NOW)
    TaskFactory.create(user=bob, due_on=date(2026, 11, 21))
    assert counts()["open"] == 2
    assert counts(sort="updated")["open"] == 2
    assert counts(due="today")["open"] == counts(tag="work")["open"] == counts(query="task", due="today")["open"] == 1
    assert counts(status="deleted")["open"] == 1


def test_the_first_thousand_are_counted(alice: User) -> None:
    Task.objects.bulk_create(Task(user=alice, title=f"Task {n}", priority=n % 2, created_at=NOW) for n in range(1002))
    for arguments in ({}, {"query": "task"}, {"priority": "low"}, {"created_on": "..today"}):
        answer = list_tasks(user_id="alice", detail="counts", **arguments)  # type: ignore[arg-type]
        assert answer.counts
        few = "priority" in arguments
        assert (answer.counts["open"], answer.total_is_exact) == (501 if few else 1000, few)
        assert answer.message().startswith("Counted 501." if few else "Counted the first 1000; there are more.")


def test_counts_have_no_pages(alice: User) -> None:
    TaskFactory.create_batch(2, user=alice)
    cursor = list_tasks(user_id="alice", limit=1).next_cursor
    with pytest.raises(InvalidArguments, match="cursor: counts have no pages"):
        list_tasks(user_id="alice", detail="counts", cursor=cursor)


@pytest.mark.parametrize("filters", [{}, {"tag": "work"}, {"priority": "high"}], ids=str)
def test_of_more_than_a_thousand_tasks_the_newest_are_counted(alice: User, filters: dict[str, Any]) -> None:
    Task.objects.bulk_create(
        Task(
            user=alice,
            title="Task",
            tags=["Work"],
            priority=3,
            created_at=NOW - timedelta(minutes=number),
            completed=number < 900,  # the newest
            completed_at=NOW if number < 900 else None,
        )
        for number in range(2_000)
    )
    result = counts(**filters)
    assert (result["open"], result["completed"]) == (100, 900)
