"""Titles of conversations in the admin: where they are shown, and how a search finds them."""

import re
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from conversations import search
from conversations.models import Conversation
from conversations.operators import titles
from conversations.operators.titles import find_titles
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.operators import LISTS, act, question, sign_in, staff_with
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
TITLE = "Oat milk <b>& bread</b>"
SHOWN = "Oat milk &lt;b&gt;&amp; bread&lt;/b&gt;"


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def chats(alice: User, bob: User) -> dict[str, Conversation]:
    """Conversations by a short name. Only the last one has a message, with milk."""
    chats = {
        "oat": ConversationFactory.create(user=alice, title="Oat milk", ref="thread_1"),
        "bread": ConversationFactory.create(user=alice, title="Bread and milk"),
        "bob": ConversationFactory.create(user=bob, title="Молоко, milk", ref="thread_1"),
        "said": ConversationFactory.create(user=bob, title="Groceries"),
    }
    MessageFactory.create(conversation=chats["said"], role="assistant", content="There is milk")
    return chats


def page_of(client: Client, query: str) -> str:
    return client.get(f"{LISTS['conversations']}?{query}").content.decode()


def found(client: Client, chats: dict[str, Conversation], query: str) -> set[str]:
    keys = {int(pk) for pk in re.findall(r'name="_selected_action" value="(\d+)"', page_of(client, query))}
    return {name for name, chat in chats.items() if chat.pk in keys}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=milk", {"oat", "bread", "bob", "said"}),
        ("q=MILK", {"oat", "bread", "bob", "said"}),
        ("q=mil*", {"oat", "bread", "bob", "said"}),
        ("q=mil", set()),
        ('q="oat+milk"', {"oat"}),
        ("q=milk+-oat", {"bread", "bob", "said"}),
        ("q=молоко", {"bob"}),
        ("q=oat+or+groceries", {"oat", "said"}),
        ("q=oat+bread", set()),
        ("q=milk&user=alice", {"oat", "bread"}),
        ("q=user:bob+milk", {"bob", "said"}),
        ("q=milk&role=assistant", {"said"}),
        ("q=groceries&role=assistant", set()),
        ("q=user:alice+thread_1", {"oat"}),
        ("q=thread_1&user=bob", {"bob"}),
        ("q=user:alice+thread_2", set()),
        ("q=thread_1", set()),
    ],
)
def test_a_conversation_is_found_by_words_of_its_title_and_of_a_user_by_its_ref(
    client: Client, chats: dict[str, Conversation], query: str, names: set[str]
) -> None:
    assert found(client, chats, query) == names


def test_a_title_counts_on_all_days_on_which_the_conversation_went_on(
    client: Client, chats: dict[str, Conversation]
) -> None:
    start, end = datetime(2026, 3, 3, 23, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    Conversation.objects.filter(pk=chats["oat"].pk).update(created_at=start, updated_at=end)
    for days, is_found in {("03", "03"): True, ("04", "04"): True, ("05", "09"): True, ("06", "09"): False}.items():
        query = f"q=oat&updated_at_from=2026-03-{days[0]}&updated_at_to=2026-03-{days[1]}"
        assert (found(client, chats, query) == {"oat"}) is is_found, days
    assert found(client, chats, "q=oat&created_at_to=2026-03-02") == set()


def test_the_list_shows_the_title_and_the_number_and_marks_the_words(client: Client) -> None:
    chat = ConversationFactory.create(title=TITLE)
    page = page_of(client, "")
    assert f'title="{SHOWN}"><bdi>{SHOWN}</bdi></span><small>Conversation {chat.pk}</small>' in page
    page = page_of(client, "q=milk")
    assert (
        f"<bdi>Oat <mark>milk</mark> &lt;b&gt;&amp; bread&lt;/b&gt;</bdi></span><small>Conversation {chat.pk}" in page
    )
    assert "<b>" not in page


def test_the_titles_of_a_search_are_the_latest_and_the_page_says_if_there_are_more(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (search, "REACH", 2),
        (search, "REACH_GROWS", 2),
        (search, "MATCHES_MAX", 3),
        (titles, "MATCHES_MAX", 3),
    ):
        monkeypatch.setattr(module, name, value)
    words = ["Milk"] * 6 + [None] * 6 + ["Oat milk"] + ["Tea"] * 3
    chats = [ConversationFactory.create(user=alice, title=title) for title in words]
    hits, may_have_more = find_titles(["milk"])
    assert [hit.pk for hit in hits] == [chats[n].pk for n in (12, 5, 4)] and may_have_more
    assert "These words are frequent" in page_of(client, "q=milk")
    hits, may_have_more = find_titles(["oat"])
    assert [hit.pk for hit in hits] == [chats[12].pk] and not may_have_more
    assert find_titles([]) == ([], False)


def test_a_search_in_titles_makes_few_queries(
    client: Client, chats: dict[str, Conversation], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    url = f"{LISTS['conversations']}?q=milk&user=bob"
    client.get(url)
    # those of a search in messages, and: newest conversation, a savepoint, setting, titles, release
    with django_assert_num_queries(11 + 5):
        client.get(url)


@pytest.mark.parametrize("query", ["q=milk", "q=milk&updated_at_to=2101-01-01"])
def test_titles_are_found_by_their_index(
    client: Client, alice: User, chats: dict[str, Conversation], query: str
) -> None:
    Conversation.objects.bulk_create(Conversation(user=alice, title=f"Tea {n}") for n in range(2000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations")
    with CaptureQueriesContext(connection) as queries:
        page_of(client, query)
    [sql] = [query["sql"] for query in queries if "@@" in query["sql"] and 'FROM "conversations" WHERE' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(search._BY_INDEX)
        cursor.execute(f"EXPLAIN {sql}")
        assert "conversations_title_words" in "\n".join(row[0] for row in cursor.fetchall())


def test_the_pages_that_name_a_conversation_say_its_title(client: Client, alice: User) -> None:
    chat = ConversationFactory.create(user=alice, title=TITLE)
    message = MessageFactory.create(conversation=chat)
    task, other = (TaskFactory.create(user=alice, conversation=chat, message=origin) for origin in (message, None))
    places = {
        f"{LISTS['conversations']}{chat.pk}/change/": f"<title>\u2068Conversation {chat.pk}: {SHOWN}\u2069",
        f"{LISTS['users']}alice/change/": f"<bdi>{SHOWN}</bdi></a><small>last activity",
        f"{LISTS['tasks']}{task.pk}/change/": f">A message of conversation {chat.pk}: <span",
        f"{LISTS['tasks']}{other.pk}/change/": f">Conversation {chat.pk}: <span",
        question("conversations", "delete_conversation", chat.pk): f"<bdi>Conversation {chat.pk}: {SHOWN}</bdi>",
    }
    for url, text in places.items():
        page = client.get(url).content.decode()
        assert text in page and SHOWN in page and "<b>&" not in page, url


def test_who_may_not_see_conversations_reads_no_title_on_a_task(alice: User) -> None:
    task = TaskFactory.create(user=alice, conversation=ConversationFactory.create(user=alice, title="Secret"))
    page = staff_with("view_task").get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()
    assert f"Conversation {task.conversation_id}" in page and "Secret" not in page


def test_the_operators_log_has_no_title(client: Client, alice: User) -> None:
    chat = ConversationFactory.create(user=alice, title="Secret")
    act(client, "conversations", "delete_conversation", chat.pk, confirmed=True)
    entry = LogEntry.objects.get()
    assert (entry.object_repr, "Secret" in entry.change_message) == (f"conversation {chat.pk}", False)
