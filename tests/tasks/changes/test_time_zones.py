"""The person's zone: of the call, then the person's own, then UTC; what writes store of it, and what they say."""

from typing import Any

import pytest

from tests.support.factories import ConversationFactory, MessageFactory
from tests.support.tool_user import ToolUser
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User


def zone_of(user: ToolUser) -> str:
    return str(User.objects.get(pk=user.user_id).time_zone)


def test_the_zone_of_the_call_comes_before_the_persons_own_and_is_not_stored(me: ToolUser) -> None:
    data = me.add(due="tomorrow 9am", time_zone="asia/tokyo")
    assert (data["due"], data["time_zone"], data["now"]) == (
        "2026-11-23T09:00+09:00",
        "Asia/Tokyo",
        "2026-11-22T01:05+09:00",
    )
    assert zone_of(me) == "Europe/Berlin"
    moved = me.update(task_id=data["task_id"], due="10am", time_zone="America/New_York")
    assert moved["due"] == "2026-11-22T10:00-05:00"
    assert zone_of(me) == "Europe/Berlin"


def test_a_stored_zone_that_there_is_not_any_more_is_as_none(me: ToolUser) -> None:
    User.objects.update(time_zone="Mars/Base")
    me.token = issue_token(user_id=me.user_id)
    for data in (me.add(due="tomorrow"), me.invalid("add_task", "due", title="x", due=5)):
        assert (data["time_zone"], data["time_zone_unknown"]) == ("UTC", True)


def test_without_a_zone_every_answer_that_names_a_day_asks_for_it(nowhere: ToolUser) -> None:
    added = nowhere.add(due="tomorrow 9am")
    answers = [
        added,
        nowhere.update(task_id=added["task_id"], due="10am"),
        nowhere.done("add_task", tasks=[{"title": "x", "due": "today"}]),
        nowhere.complete(task_id=nowhere.add(repeat="every day")["task_id"]),
    ]
    for data in answers:
        assert (data["time_zone"], data["time_zone_unknown"]) == ("UTC", True)
        assert "time zone is not known" in data["message"]
    for data in (nowhere.add(), nowhere.delete(task_id=added["task_id"])):
        assert not data.keys() & {"now", "time_zone", "time_zone_unknown"}


@pytest.mark.parametrize(
    "call", ["add", "add several", "add with a key", "add from a message", "update", "update several"]
)
def test_the_first_zone_that_a_write_names_is_stored_and_said(nowhere: ToolUser, call: str) -> None:
    task_id = nowhere.add()["task_id"]
    conversation = ConversationFactory.create(user_id=nowhere.user_id)
    message = MessageFactory.create(conversation=conversation)
    sent: dict[str, Any] = {"due": "tomorrow 9am", "time_zone": "Europe/Paris"}
    calls: dict[str, Any] = {
        "add": lambda: nowhere.add(**sent),
        "add several": lambda: nowhere.done("add_task", tasks=[{"title": "x"}], time_zone="Europe/Paris"),
        "add with a key": lambda: nowhere.add(**sent, idempotency_key="a-key-of-my-own"),
        "add from a message": lambda: nowhere.add(**sent, conversation_id=conversation.pk, message_id=message.pk),
        "update": lambda: nowhere.update(task_id=task_id, **sent),
        "update several": lambda: nowhere.update(task_ids=[task_id], **sent),
    }
    data = calls[call]()
    assert zone_of(nowhere) == "Europe/Paris"
    assert "Stored the time zone Europe/Paris" in data["message"]
    assert "time_zone_unknown" not in data
    assert nowhere.add(due="tomorrow 9am")["due"] == "2026-11-22T09:00+01:00"


def test_a_write_that_is_refused_stores_no_zone(nowhere: ToolUser) -> None:
    nowhere.refused("update_task", "task_not_found", task_id=99, title="x", time_zone="Europe/Paris")
    nowhere.invalid("add_task", "due", title="x", due="soon", time_zone="Europe/Paris")
    nowhere.invalid("add_task", "time_zone", title="x", time_zone="Mars/Base")
    assert zone_of(nowhere) == ""


def test_the_zone_alone_is_set_and_changed(me: ToolUser, nowhere: ToolUser) -> None:
    for user in (me, nowhere):
        for name in ("America/Denver", "Asia/Tokyo"):
            for _ in range(2):  # the worker remembers the token with the old zone
                assert user.update(time_zone=name)["time_zone"] == name
                assert zone_of(user) == name
            assert user.add(due="noon")["time_zone"] == name
    me.invalid("update_task", "time_zone", time_zone="Berlin")
    assert zone_of(me) == "Asia/Tokyo"


def test_a_call_with_only_empty_values_sets_no_zone(nowhere: ToolUser) -> None:
    nowhere.invalid("update_task", "task_id", title="", tags=[])
    nowhere.invalid("update_task", "task_id", time_zone="")
    assert zone_of(nowhere) == ""
