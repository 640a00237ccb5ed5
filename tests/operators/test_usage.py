"""The page of a user shows what the user has used of each quota."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.support.factories import MessageFactory, TaskFactory
from tests.support.operators import sign_in, staff_with
from todo_mcp.quotas.models import UserUsage
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


def usage_on_page(client: Client) -> list[tuple[str, str, str]]:
    page = client.get("/admin/users/user/alice/change/").content.decode()
    panel = re.search(r'<section class="todo-panel" aria-labelledby="usage-title">(.*?)</section>', page, re.DOTALL)
    assert panel
    return re.findall(r"<th scope=\"row\">(.*?)</th><td>(.*?)</td><td>(.*?)</td>", panel[1])


def test_the_page_shows_what_the_workers_have_counted(operator: User, alice: User) -> None:
    UserUsage.objects.create(user=alice, tasks=1234, bytes=2_500_000, writes=99, day=timezone.now().date())
    assert usage_on_page(sign_in(operator)) == [
        ("Tasks that are not deleted", "1,234", "100,000"),
        ("Stored", "2.5 MB", "1,000.0 MB"),
        ("Writes today, in UTC", "99", "10,000"),
    ]


def test_writes_of_yesterday_are_not_those_of_today(operator: User, alice: User) -> None:
    UserUsage.objects.create(user=alice, writes=99, day=timezone.now().date() - timedelta(days=1))
    assert usage_on_page(sign_in(operator))[2][1] == "0"


def test_a_user_who_was_never_counted_is_counted(operator: User, alice: User) -> None:
    TaskFactory.create(user=alice, description="x" * 1000)
    MessageFactory.create(conversation__user=alice, content="y" * 100_000)
    usage = usage_on_page(sign_in(operator))
    assert [used for _, used, _ in usage] == ["1", "0.1 MB", "0"]
    assert not UserUsage.objects.exists(), "a GET changes nothing"


def test_a_quota_that_is_off_is_named_none(operator: User, alice: User, settings: Settings) -> None:
    settings.QUOTA_TASKS = settings.QUOTA_BYTES = settings.QUOTA_WRITES = 0
    assert [row[1:] for row in usage_on_page(sign_in(operator))] == [
        ("not counted", "none"), ("not counted", "none"), ("0", "none"),
    ]  # fmt: skip


def test_an_operator_who_may_only_look_sees_the_usage(alice: User) -> None:
    assert len(usage_on_page(staff_with("view_user"))) == 3
