"""The list of conversations in the admin: search by words, user, author and days."""

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from conversations import search
from conversations.models import CONTENT_MAX, Message
from tests.support.factories import ConversationFactory, MessageFactory
from tests.support.operators import LISTS, sign_in
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def messages(alice: User, bob: User) -> dict[str, Message]:
    """Messages in conversations of Alice and Bob, by a short name."""
    alices, bobs = ConversationFactory.create(user=alice), ConversationFactory.create(user=bob)
    words = {
        "milk": (alices, "user", "Where is the oat milk?"),
        "fridge": (alices, "assistant", "In the fridge, beside the Milk."),
        "bob": (bobs, "user", "We need milk and oat flakes"),
        "cyrillic": (bobs, "assistant", "Молоко закончилось"),
    }
    return {
        name: MessageFactory.create(conversation=chat, role=role, content=text)
        for name, (chat, role, text) in words.items()
    }


def search_results(client: Client, query: str) -> set[int]:
    page = client.get(f"{LISTS['conversations']}?{query}").content.decode()
    return {int(pk) for pk in re.findall(r'name="_selected_action" value="(\d+)"', page)}


@pytest.mark.parametrize(
    ("query", "owners"),
    [
        ("q=milk", {"alice", "bob"}),
        ("q=MILK", {"alice", "bob"}),
        ("q=mil", set()),
        ("q=mil*", {"alice", "bob"}),
        ("q=oat+milk", {"alice", "bob"}),
        ('q="oat+milk"', {"alice"}),
        ("q=milk+-flakes", {"alice"}),
        ("q=flakes+or+fridge", {"alice", "bob"}),
        ("q=молоко", {"bob"}),
        ("q=milk&user=bob", {"bob"}),
        ("q=user:bob+milk", {"bob"}),
        ("q=user:bob", {"bob"}),
        ("q=fridge&role=user", set()),
        ("q=fridge&role=assistant", {"alice"}),
        ("role=assistant", {"alice", "bob"}),
        ("role=user", set()),
        ("q=user:bob&role=user", set()),
        ("q=milk&updated_at_from=2001-01-01", {"alice", "bob"}),
        ("q=milk&updated_at_to=2001-01-01", set()),
        ("created_at_from=2001-01-01&created_at_to=2101-01-01", {"alice", "bob"}),
        ("created_at_from=nonsense", {"alice", "bob"}),
        ("created_at_to=9999-12-31", {"alice", "bob"}),
        ("role=nobody", set()),
        ("q=milk&role=%00", set()),
        ("q=%00", {"alice", "bob"}),
        ("q=')%3B+--", set()),
        ("q=!*+%26*+:*", set()),
    ],
)
def test_a_conversation_is_found_by_words_user_role_and_days(
    client: Client, messages: dict[str, Message], query: str, owners: set[str]
) -> None:
    owner_of = {messages["milk"].conversation_id: "alice", messages["bob"].conversation_id: "bob"}
    assert {owner_of[pk] for pk in search_results(client, query)} == owners


def test_a_search_shows_the_words_and_leads_to_the_message(client: Client, messages: dict[str, Message]) -> None:
    page = client.get(f"{LISTS['conversations']}?q=fridge").content.decode()
    assert "In the <mark>fridge</mark>, beside" in page
    assert f"?at={messages['fridge'].pk}&amp;q=fridge#message-{messages['fridge'].pk}" in page


def test_a_search_says_who_wrote_the_message_and_when(client: Client, messages: dict[str, Message]) -> None:
    at = datetime(2026, 3, 1, 12, 30, 7, tzinfo=UTC)
    Message.objects.filter(pk=messages["fridge"].pk).update(created_at=at)
    page = client.get(f"{LISTS['conversations']}?q=fridge").content.decode()
    assert '<small>assistant · <time title="2026-03-01 12:30:07 UTC">2026-03-01 12:30</time> UTC</small>' in page


def test_days_together_with_words_are_days_of_the_message(client: Client, messages: dict[str, Message]) -> None:
    milk = messages["milk"]
    Message.objects.filter(pk=milk.pk).update(created_at=datetime(2026, 3, 7, 23, 59, tzinfo=UTC))
    for name in ("updated_at", "created_at"):
        assert search_results(client, f"q=milk&{name}_from=2026-03-01&{name}_to=2026-03-07") == {milk.conversation_id}
        assert search_results(client, f"q=user:alice+milk&{name}_to=2026-03-06") == set()
        assert search_results(client, f"q=fridge&{name}_to=2026-03-07") == set()
        assert search_results(client, f"{name}_to=2026-03-07") == set()
    both = "q=milk&updated_at_from=2026-03-01&created_at_to=2026-03-07"
    assert search_results(client, both) == {milk.conversation_id}
    page = client.get(f"{LISTS['conversations']}?q=milk").content.decode()
    assert "Together with words, the days in the filters are days of messages" in page


def test_frequent_words_of_past_days_are_those_latest_in_these_days(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RECENT": 2, "FREQUENT": 2}.items():
        monkeypatch.setattr(search, name, value)
    old = [MessageFactory.create(conversation__user=alice, content="milk") for _ in range(3)]
    Message.objects.update(created_at=datetime(2026, 3, 1, tzinfo=UTC))
    Message.objects.filter(pk=old[2].pk).update(created_at=datetime(2026, 2, 28, tzinfo=UTC))
    MessageFactory.create_batch(3, conversation__user=alice, content="milk")
    found = search_results(client, "q=milk&updated_at_to=2026-03-01")
    assert found == {message.conversation_id for message in old[:2]}


def test_a_search_and_its_filters_make_few_queries(
    client: Client, messages: dict[str, Message], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    url = f"{LISTS['conversations']}?q=milk&role=user&user=alice&updated_at_from=2001-01-01"
    client.get(url)
    # session, operator, latest ids, their matches, a savepoint, setting, matches, release, count, rows, messages
    with django_assert_num_queries(11):
        client.get(url)


def test_other_pages_get_one_line_for_each_message_that_a_search_finds(messages: dict[str, Message]) -> None:
    found, may_have_more = search.find_excerpts(["milk"], 2)
    assert [(line.user_id, line.role) for line in found] == [("bob", "user"), ("alice", "assistant")] and may_have_more
    assert found[0].text == "<bdi>We need <mark>milk</mark> and oat flakes</bdi>"
    assert found[0].url.endswith(f"/change/?at={messages['bob'].pk}&q=milk#message-{messages['bob'].pk}")
    assert search.find_excerpts(["milk"], 3)[1] is False
    assert search.find_excerpts([], 3) == ([], False)


def test_text_in_search_results_is_escaped(client: Client) -> None:
    MessageFactory.create(content="<b>milk</b> \ue000<script>alert(1)</script>\ue001")
    page = client.get(f"{LISTS['conversations']}?q=milk").content.decode()
    assert "<mark>milk</mark>" in page and "<script>alert(1)" not in page and "<b>" not in page


def test_a_search_for_a_frequent_word_says_that_it_shows_the_latest_matches(
    client: Client, messages: dict[str, Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FREQUENT", 3)
    page = client.get(f"{LISTS['conversations']}?q=milk").content.decode()
    assert "These words are frequent" in page
    assert "These words are frequent" not in client.get(f"{LISTS['conversations']}?q=flakes").content.decode()


def test_a_search_finds_the_latest_matches_however_old_they_are(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"REACH": 2, "REACH_GROWS": 2, "RECENT": 1, "MATCHES_MAX": 3}.items():
        monkeypatch.setattr(search, name, value)
    words = ["milk"] * 6 + ["tea"] * 6 + ["oat milk"] + ["tea"] * 3
    chats = [ConversationFactory.create(user=alice) for _ in words]
    for chat, text in zip(chats, words, strict=True):
        MessageFactory.create(conversation=chat, content=text)
    assert search_results(client, "q=milk") == {chats[n].pk for n in (4, 5, 12)}
    assert search_results(client, "q=oat") == {chats[12].pk}


def test_a_search_uses_the_index_of_words(client: Client, messages: dict[str, Message]) -> None:
    with CaptureQueriesContext(connection) as queries:
        client.get(f"{LISTS['conversations']}?q=milk")
    searches = [query["sql"] for query in queries if "@@" in query["sql"]]
    search_sql = next(sql for sql in searches if "OCTET_LENGTH" not in sql)  # beyond the latest messages
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        cursor.execute(f"EXPLAIN {search_sql}")
        assert "messages_words" in "\n".join(row[0] for row in cursor.fetchall())


def test_the_longest_message_with_the_most_words_can_be_stored_and_found(client: Client) -> None:
    letters = [chr(0x20000 + n) for n in range(CONTENT_MAX // 2)]  # each four bytes, and a word
    message = MessageFactory.create(content=" ".join(letters))
    assert search_results(client, f"q={letters[-1]}") == {message.conversation_id}
