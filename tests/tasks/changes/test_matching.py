"""`match`: the one task whose title has these words, and nothing if none or several fit."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.factories import TaskFactory
from todo_mcp.users.models import User

TITLES = ("Call the bank about the card", "Buy milk", "Müllabfuhr bestellen", "Pay the dentist", "Pay the rent")


@pytest.fixture
def tasks(alice: User) -> dict[str, int]:
    return {title: TaskFactory.create(user=alice, title=title).pk for title in TITLES}


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("bank", "Call the bank about the card"),
        ("bank card", "Call the bank about the card"),
        ("card bank", "Call the bank about the card"),
        ("BANK", "Call the bank about the card"),
        ("mull", "Müllabfuhr bestellen"),
        ("milk", "Buy milk"),
        ("-milk", "Buy milk"),
        ('"milk"', "Buy milk"),
        ("dent", "Pay the dentist"),
    ],
)
async def test_words_of_one_title_find_its_task(
    as_alice: Caller, tasks: dict[str, int], words: str, title: str
) -> None:
    answer = await as_alice.call("http", "complete_task", match=words)
    assert answer["data"]["task_id"] == tasks[title], answer


@pytest.mark.parametrize("tool", ["complete_task", "delete_task", "update_task"])
async def test_several_that_fit_are_named_and_nothing_is_done(
    as_alice: Caller, tasks: dict[str, int], orm: Orm, tool: str
) -> None:
    extra = {"priority": "high"} if tool == "update_task" else {}
    answer = await as_alice.call("http", tool, match="pay", **extra)
    assert answer["data"]["error"] == "ambiguous_match"
    assert {one["task_id"] for one in answer["data"]["candidates"]} == {
        tasks["Pay the dentist"],
        tasks["Pay the rent"],
    }
    assert await orm(lambda: set(Task.objects.values_list("version", flat=True))) == {1}


async def test_candidates_are_at_most_five_and_the_title_of_just_these_words_comes_first(
    as_alice: Caller, alice: User, orm: Orm
) -> None:
    await orm(lambda: [TaskFactory.create(user=alice, title=f"Milk {number}") for number in range(7)])
    exact = await orm(
        lambda: TaskFactory.create(user=alice, title="Milk", created_at=timezone.now() - timedelta(days=9))
    )
    answer = await as_alice.call("http", "complete_task", match="milk")
    assert len(answer["data"]["candidates"]) == 5
    assert answer["data"]["candidates"][0]["task_id"] == exact.pk


async def test_no_task_is_named_with_what_fits_otherwise(as_alice: Caller, alice: User, orm: Orm) -> None:
    old = timezone.now() - timedelta(days=1)

    def make() -> dict[str, int]:
        return {
            "description": TaskFactory.create(user=alice, title="One", description="Passport").pk,
            "item": TaskFactory.create(
                user=alice, title="Packing", checklist=[{"text": "Passport and money", "done": False}]
            ).pk,
            "completed": TaskFactory.create(user=alice, title="Passport", completed=True, completed_at=old).pk,
            "deleted": TaskFactory.create(user=alice, title="Passport", deleted_at=old).pk,
        }

    ids = await orm(make)
    answer = await as_alice.call("http", "complete_task", match="passport")
    found: dict[int, dict[str, Any]] = {one["task_id"]: one for one in answer["data"]["candidates"]}
    assert answer["data"]["error"] == "task_not_found"
    assert found.keys() == set(ids.values())
    assert found[ids["item"]]["item"] == "Passport and money"
    assert found[ids["completed"]]["completed_at"]
    assert found[ids["deleted"]]["deleted_at"]


async def test_a_task_of_another_user_is_never_found(as_alice: Caller, bob: User, orm: Orm) -> None:
    await orm(lambda: TaskFactory.create(user=bob, title="Secret plan"))
    answer = await as_alice.call("http", "delete_task", match="secret")
    assert answer["data"] == {"error_code": 404, "error": "task_not_found", "candidates": []}


@pytest.mark.parametrize("tool", ["complete_task", "delete_task"])
async def test_a_call_that_is_sent_again_does_nothing_twice(
    as_alice: Caller, tasks: dict[str, int], orm: Orm, tool: str
) -> None:
    first = await as_alice.call("http", tool, match="milk")
    again = await as_alice.call("http", tool, match="milk")
    assert again["status"] == "success"
    assert again["data"]["task_id"] == first["data"]["task_id"]
    assert again["data"]["undo"] == first["data"]["undo"]  # for a caller who never got the first answer
    assert await orm(lambda: Task.objects.get(title="Buy milk").version) == 2


async def test_a_repeating_task_that_is_completed_again_answers_the_same_next(as_alice: Caller) -> None:
    await as_alice.call("http", "add_task", title="Water the plants", repeat="every day")
    first = await as_alice.call("http", "complete_task", match="water")
    again = await as_alice.call("http", "complete_task", match="water")
    assert again["data"]["task_id"] == first["data"]["task_id"]
    assert again["data"]["next"] == first["data"]["next"]


async def test_reopen_looks_among_completed_tasks_and_restore_in_the_trash(
    as_alice: Caller, tasks: dict[str, int]
) -> None:
    await as_alice.call("http", "complete_task", match="milk")
    reopened = await as_alice.call("http", "update_task", match="milk", reopen=True)
    assert reopened["data"]["updated_fields"] == ["completed"]
    await as_alice.call("http", "delete_task", match="milk")
    restored = await as_alice.call("http", "update_task", match="milk", restore=True)
    assert restored["data"]["updated_fields"] == ["deleted_at"]


@pytest.mark.parametrize("words", ["-", '""', "...", "!?"])
async def test_words_without_a_letter_are_refused(as_alice: Caller, words: str) -> None:
    answer = await as_alice.call("http", "complete_task", match=words)
    assert answer["data"]["fields"].keys() == {"match"}


async def test_a_version_may_be_expected_of_the_task_that_fits(as_alice: Caller, tasks: dict[str, int]) -> None:
    answer = await as_alice.call("http", "complete_task", match="milk", expected_version=2)
    assert answer["data"]["error"] == "version_conflict"
    assert answer["data"]["current"]["task_id"] == tasks["Buy milk"]
    answer = await as_alice.call("http", "complete_task", match="milk", expected_version=1)
    assert answer["status"] == "success"
