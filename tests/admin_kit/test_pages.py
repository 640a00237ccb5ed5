"""The admin's pages: who may open them, hostile text is escaped, and they stay fast with many rows."""

import re
from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from django.utils.html import escape
from oauth2_provider.models import AccessToken
from pytest_django import DjangoAssertNumQueries

from conversations.models import Conversation
from tasks.models import Task
from tests.support.factories import MessageFactory, TaskFactory, UserFactory
from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.admin_kit import base
from todo_mcp.auth.tokens import issue_token
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

HOSTILE = "<script>alert(1)</script>\u202egpj.exe"
ISOLATED = f"<bdi>{escape(HOSTILE)}</bdi>"
SHORTENED = f'<bdi class="todo-short" title="{escape(HOSTILE)}">{escape(HOSTILE)}</bdi>'

pytestmark = pytest.mark.django_db


def add_rows(count: int) -> None:
    """Add rows to every list, each with its own user."""
    for number in range(count):
        user = UserFactory.create(id=f"user-{number}")
        TaskFactory.create(user=user)
        MessageFactory.create(conversation__user=user)
        issue_token(user_id=user.pk)


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def hostile_pages(alice: User) -> dict[str, str]:
    """The URL of each list and of the page of one of its rows. Every text on these pages is hostile."""
    User.objects.update(name=HOSTILE)
    with history_context(user="alice", tool="add_task", client=HOSTILE, token_name=HOSTILE):
        task = TaskFactory.create(user=alice, title=HOSTILE, description=HOSTILE)
        Task.objects.update(title=f"{HOSTILE}!")
    message = MessageFactory.create(conversation__user=alice, content=HOSTILE)
    issue_token(user_id="alice", name=HOSTILE)
    rows = {"tasks": task.pk, "conversations": message.conversation_id, "users": "alice"}
    rows["tokens"] = AccessToken.objects.get().pk
    return {**LISTS, **{f"one of {name}": f"{LISTS[name]}{key}/change/" for name, key in rows.items()}}


def test_every_page_escapes_and_isolates_hostile_text(client: Client, hostile_pages: dict[str, str]) -> None:
    for name, url in hostile_pages.items():
        response = client.get(url)
        page = response.content.decode()
        assert response.status_code == 200, name
        assert "<script>alert(1)" not in page, name
        title = re.search("<title>(.*?)</title>", page, re.DOTALL)
        assert title and "\u202e" not in title[1], name
        isolated_texts = (ISOLATED, SHORTENED, ISOLATED.replace("</bdi>", "!</bdi>"), f'dir="auto">{escape(HOSTILE)}')
        assert name == "one of users" or any(text in page for text in isolated_texts), name


@pytest.mark.parametrize(
    "path", ["", "auth/group/", "auth/group/add/", "users/user/add/", "oauth2_provider/accesstoken/add/"]
)
def test_the_other_pages_open(client: Client, path: str) -> None:
    assert client.get(f"/admin/{path}").status_code == 200


@pytest.mark.parametrize(
    ("name", "queries"),
    # session, operator, bounded count, rows; for tokens also their last use
    [("tasks", 4), ("conversations", 4), ("users", 4), ("tokens", 5)],
)
def test_a_list_makes_few_queries_even_with_many_rows(
    client: Client, name: str, queries: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    url = LISTS[name]
    client.get(url)  # fills caches, for example of content types
    for count in (3, 30):
        User.objects.exclude(pk="operator").delete()
        add_rows(count)
        with django_assert_num_queries(queries):
            page = client.get(url).content.decode()
        assert page.count('name="_selected_action"') >= count


@pytest.mark.parametrize(
    ("name", "queries"),
    # session, operator, row, what the page lists; for a task also what its calls did to other tasks; for a user also
    # the group choices, tokens and their last use, what operators did, and the usage, which three more count here;
    # for a conversation its messages, their tasks, and all its tasks
    [("tasks", 5), ("conversations", 6), ("users", 15), ("tokens", 5)],
)
def test_a_page_makes_few_queries_even_with_many_rows(
    client: Client,
    hostile_pages: dict[str, str],
    name: str,
    queries: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    url = hostile_pages[f"one of {name}"]
    client.get(url)
    for number in range(30):
        Task.objects.update(description=str(number))
        MessageFactory.create(conversation=Conversation.objects.get())
    with django_assert_num_queries(queries):
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("url", LISTS.values(), ids=LISTS)
def test_a_search_or_filter_makes_few_queries(
    client: Client, url: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    add_rows(5)
    for query in ("q=user:user-3", "q=task+3", "q=3", 'q="', "q=message"):
        with django_assert_max_num_queries(16):  # of these, five find titles of conversations
            assert client.get(f"{url}?{query}").status_code == 200


def test_no_page_offers_a_drop_down_of_users(client: Client, hostile_pages: dict[str, str]) -> None:
    add_rows(3)
    for url in hostile_pages.values():
        assert 'value="user-1"' not in re.sub(
            '<input[^>]*name="_selected_action"[^>]*>', "", client.get(url).content.decode()
        )


def test_counting_stops_at_a_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "COUNT_MAX", 5)
    add_rows(7)
    assert "5+ tasks" in client.get(LISTS["tasks"]).content.decode()
    assert "5 tasks" not in client.get(LISTS["tasks"] + "?q=user:user-2").content.decode()


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("status=pending", {"Milk"}),
        ("status=completed", {"Bread"}),
        ("status=living", {"Milk", "Bread"}),
        ("status=deleted", {"Salt"}),
        ("user=bob", {"Bread"}),
        ("q=mil", {"Milk"}),
        ("q=user:alice", {"Milk", "Salt"}),
        ("q=user:alice+salt", {"Salt"}),
        ('q=user:"alice"', {"Milk", "Salt"}),
        ("q=user:Alice", set()),
        ("q=999999999999999999999999", set()),
    ],
)
def test_tasks_are_found_by_status_user_and_words(
    client: Client, alice: User, bob: User, query: str, titles: set[str]
) -> None:
    milk = TaskFactory.create(user=alice, title="Milk")
    TaskFactory.create(user=bob, title="Bread", completed=True, completed_at=milk.created_at)
    TaskFactory.create(user=alice, title="Salt", deleted_at=milk.created_at)
    page = client.get(f"{LISTS['tasks']}?{query}").content.decode()
    assert {title for title in ("Milk", "Bread", "Salt") if f"<bdi>{title}</bdi>" in page} == titles


def test_a_task_is_found_by_its_id(client: Client, alice: User) -> None:
    task = TaskFactory.create(user=alice, title="Milk")
    assert "<bdi>Milk</bdi>" in client.get(f"{LISTS['tasks']}?q={task.pk}").content.decode()


@pytest.mark.parametrize("query", ["user__password__gt=x", "title__regex=x", "user=%00", "token_checksum__gt=a"])
@pytest.mark.parametrize("name", ["tasks", "tokens"])
def test_a_list_refuses_lookups_that_its_filters_do_not_offer(client: Client, name: str, query: str) -> None:
    assert client.get(f"{LISTS[name]}?{query}").status_code in (302, 400)


@pytest.mark.parametrize("key", ["0", "x", "%00", "99999999999999999999999"])
@pytest.mark.parametrize("url", LISTS.values(), ids=LISTS)
def test_the_page_of_a_missing_row_redirects_to_the_home_page(client: Client, url: str, key: str) -> None:
    assert client.get(f"{url}{key}/change/").status_code == 302


@pytest.mark.parametrize("name", LISTS)
def test_djangos_page_of_a_rows_history_is_never_a_dead_end(
    client: Client, hostile_pages: dict[str, str], name: str
) -> None:
    """Django logs only what operators do in the admin. The pages of the rows say more."""
    url = hostile_pages[f"one of {name}"]
    history = client.get(url.replace("/change/", "/history/"))
    target, _, anchor = history.headers["Location"].partition("#")
    assert (history.status_code, target) == (302, url)
    page = client.get(target).content.decode()
    assert anchor == {"tasks": "history-title", "users": "log-title"}.get(name, "") and (
        not anchor or f'id="{anchor}"' in page
    )
    assert "/history/" not in page


@pytest.mark.parametrize("key", ["0", "x", "%00", "%22%3E%3Cb%3E", "/evil.example/"])
@pytest.mark.parametrize("url", LISTS.values(), ids=LISTS)
def test_the_history_of_a_missing_row_leads_to_the_home_page(client: Client, url: str, key: str) -> None:
    answer = client.get(f"{url}{key}/history/", follow=True)
    assert answer.redirect_chain[-1] == ("/admin/", 302)


@pytest.mark.parametrize("url", LISTS.values(), ids=LISTS)
def test_strangers_and_staff_without_permission_are_refused(url: str) -> None:
    assert Client().get(url).status_code == 302
    assert staff_with().get(url).status_code == 403


def test_staff_who_may_only_view_get_pages_without_buttons(operator: User, hostile_pages: dict[str, str]) -> None:
    client = staff_with("view_task", "view_conversation", "view_user", "view_accesstoken")
    for name, url in hostile_pages.items():
        response = client.get(url)
        assert response.status_code == 200, name
        assert not re.search('name="(action|_save)"', response.content.decode()), name


def test_the_admin_does_not_show_the_tables_of_the_sign_in_flows() -> None:
    admin.autodiscover()
    registered_models = {model._meta.label for model in admin.site._registry}
    assert registered_models == {
        "tasks.Task",
        "conversations.Conversation",
        "users.User",
        "auth.Group",
        "oauth2_provider.AccessToken",
        "admin.LogEntry",
        "oauth2_provider.Application",
        "access.RevokedToken",
        "statistics.CallStatistics",
        "tasks.TaskEvent",
    }


@pytest.mark.parametrize(
    "path", ["unfold/css/styles.css", "admin/js/actions.js", "todo_mcp/admin.css", "todo_mcp/icon.svg"]
)
def test_static_files_are_found(path: str) -> None:
    assert finders.find(path)


def test_the_admins_own_name_for_tokens_needs_no_migration() -> None:
    call_command("makemigrations", "oauth2_provider", check=True, dry_run=True, verbosity=0)


def test_pages_load_nothing_from_other_sites(client: Client, hostile_pages: dict[str, str]) -> None:
    find_links: Callable[[str], list[str]] = re.compile('(?:<script[^>]+src|<link[^>]+href)="([^"]+)"').findall
    for url in hostile_pages.values():
        assert all(link.startswith("/") for link in find_links(client.get(url).content.decode()))
