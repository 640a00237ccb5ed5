"""Users and operators in the admin: who may create and change them."""

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client

from tests.support.factories import TaskFactory, UserFactory
from tests.support.operators import LISTS, act, sign_in, staff_with
from todo_mcp.operators import password_link
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def test_a_user_is_added_without_a_password_and_the_page_offers_a_token(client: Client) -> None:
    url = f"{LISTS['users']}add/"
    assert 'type="password"' not in client.get(url).content.decode()
    added = client.post(url, {"id": "erin", "name": "Erin"})
    assert added.headers["Location"] == f"{LISTS['users']}erin/change/"
    assert not User.objects.get(pk="erin").has_usable_password()
    assert "?user_id=erin" in client.get(added.headers["Location"]).content.decode()
    assert client.post(url, {"id": "me"}).status_code == 200


def test_a_new_person_chooses_the_password_with_a_link_that_works_once(client: Client) -> None:
    added = client.post(f"{LISTS['users']}add/", {"id": "erin", "signs_in": "on"})
    page = client.get(added.headers["Location"])
    assert "no-store" in page.headers["Cache-Control"]
    person, link = Client(), page.context["link"].removeprefix(settings.PUBLIC_URL)
    form, password = person.get(link).headers["Location"], "a long enough pass phrase"
    assert person.post(form, {"new_password1": password, "new_password2": password}).status_code == 302
    assert User.objects.get(pk="erin").check_password(password)
    assert not client.get(added.headers["Location"]).context["link"]  # a reload makes no second link
    assert "This link is used up" in Client().get(link, follow=True).content.decode()
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")][1:] == ["Made a password link for"]


def test_a_link_for_an_existing_user_is_made_by_post_and_only_shown_to_its_maker(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{LISTS['users']}alice/password/"
    assert not client.get(url).context["link"] and not LogEntry.objects.exists()
    assert client.post(url).headers["Location"] == url
    assert client.get(url).context["link"]
    assert not sign_in(User.objects.create_superuser("other", "x")).get(url).context["link"]
    monkeypatch.setattr(password_link, "SHOWN_FOR", 0)
    assert not client.get(url).context["link"]
    User.objects.filter(pk="alice").update(is_active=False)
    assert client.post(url).status_code == 403
    assert staff_with("view_user").post(url).status_code == 403


def test_operators_can_rename_and_deactivate_users_but_not_lock_themselves_out(client: Client, alice: User) -> None:
    client.post(f"{LISTS['users']}alice/change/", {"name": "Alice B", "email": "alice@example.com"})
    act(client, "users", "deactivate_user", "alice", "operator", confirmed=True)
    alice.refresh_from_db()
    assert (alice.name, alice.is_active, alice.is_staff) == ("Alice B", False, False)
    assert User.objects.get(pk="operator").is_active


def test_staff_cannot_create_or_change_operators(operator: User, alice: User) -> None:
    client = staff_with("view_user", "change_user", "delete_user", "change_group", "view_group")
    client.post(f"{LISTS['users']}alice/change/", {"name": "A", "is_staff": "on", "is_superuser": "on"})
    alice.refresh_from_db()
    assert alice.name == "A" and not alice.is_staff and not alice.is_superuser
    for user_id in ("operator", "dave"):
        assert client.post(f"{LISTS['users']}{user_id}/change/", {"name": "x"}).status_code == 403
        assert client.get(f"{LISTS['users']}{user_id}/password/").status_code == 403
    act(client, "users", "delete_user", "operator", confirmed=True)
    assert User.objects.filter(pk="operator").exists()
    assert client.get(f"/admin/auth/group/{Group.objects.create(name='all').pk}/change/").status_code == 403


def test_staff_act_only_within_their_permissions(alice: User) -> None:
    task = TaskFactory.create(user=alice)
    client = staff_with("view_task", "change_task")
    act(client, "tasks", "delete_task", task.pk, confirmed=True)
    act(client, "tasks", "complete_task", task.pk)
    task.refresh_from_db()
    assert task.completed and task.deleted_at is None


def test_a_users_page_links_to_their_tasks_conversations_and_tokens(client: Client) -> None:
    UserFactory.create(id="a&b/c d")
    page = client.get(f"{LISTS['users']}a_26b_2Fc d/change/").content.decode()
    for name in ("tasks", "conversations", "tokens"):
        assert f"{LISTS[name]}?user=a%26b%2Fc+d" in page
