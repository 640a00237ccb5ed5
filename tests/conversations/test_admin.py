"""Conversations in the admin: search by words, transcripts page by page, and links to the tasks made from them."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from conversations import search
from conversations.models import CONTENT_MAX, Message
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.operators import LISTS, sign_in, staff_with
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
    assert f"?at={messages['fridge'].pk}#message-{messages['fridge'].pk}" in page


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


def test_messages_are_read_page_by_page_in_both_directions(client: Client) -> None:
    conversation = ConversationFactory.create()
    keys = [MessageFactory.create(conversation=conversation, content=f"Turn {n}.").pk for n in range(45)]
    url = f"{LISTS['conversations']}{conversation.pk}/change/"

    def turns(query: str) -> list[int]:
        return [int(n) for n in re.findall(r"Turn (\d+)\.", client.get(url + query).content.decode())]

    assert turns("") == list(range(25, 45))
    assert turns(f"?before={keys[25]}") == list(range(5, 25))
    assert turns(f"?before={keys[5]}") == list(range(5))
    assert turns(f"?after={keys[4]}") == list(range(5, 25))
    assert turns(f"?after={keys[40]}") == list(range(41, 45))
    assert turns("?before=x") == list(range(25, 45))


def test_a_long_message_is_cut_until_it_is_opened(client: Client) -> None:
    message = MessageFactory.create(content="a" * 4_000 + "b" * 50)
    url = f"{LISTS['conversations']}{message.conversation_id}/change/"
    assert "50 more characters" in (page := client.get(url).content.decode()) and "b" * 50 not in page
    assert "b" * 50 in client.get(f"{url}?only={message.pk}").content.decode()


def test_messages_are_read_from_the_first_one_and_around_any_one(client: Client) -> None:
    chat = ConversationFactory.create()
    keys = [MessageFactory.create(conversation=chat, content=f"Turn {n}.").pk for n in range(45)]
    url = f"{LISTS['conversations']}{chat.pk}/change/"

    def turns(query: str) -> list[int]:
        return [int(n) for n in re.findall(r"Turn (\d+)\.", client.get(url + query).content.decode())]

    assert turns("?after=0") == list(range(20))
    assert turns(f"?at={keys[30]}") == list(range(20, 40))
    assert turns(f"?at={keys[0]}") == list(range(10))
    assert turns(f"?only={keys[3]}") == [3]
    page = client.get(f"{url}?at={keys[30]}").content.decode()
    assert f"?before={keys[20]}" in page and f"?after={keys[39]}" in page and "todo-found" in page


def test_a_message_of_another_conversation_is_not_shown(client: Client, messages: dict[str, Message]) -> None:
    url = f"{LISTS['conversations']}{messages['milk'].conversation_id}/change/"
    assert "oat flakes" not in client.get(f"{url}?only={messages['bob'].pk}").content.decode()


def test_long_text_is_folded(client: Client) -> None:
    message = MessageFactory.create(content="word " * 500)
    page = client.get(f"{LISTS['conversations']}{message.conversation_id}/change/").content.decode()
    assert "<details>" in page.partition("todo-messages")[2]


def test_links_lead_from_a_message_to_its_tasks_and_back(client: Client, alice: User) -> None:
    message = MessageFactory.create(conversation__user=alice)
    chat = message.conversation_id
    task = TaskFactory.create(user=alice, title="Milk", conversation_id=chat, message=message)
    other = TaskFactory.create(user=alice, title="Bread", conversation_id=chat)
    page = client.get(f"{LISTS['conversations']}{chat}/change/").content.decode()
    link = f'href="{LISTS["tasks"]}{task.pk}/change/"'
    assert page.count(link) == 2 and page.count(f'href="{LISTS["tasks"]}{other.pk}/change/"') == 1
    back = client.get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()
    assert f"{LISTS['conversations']}{chat}/change/?at={message.pk}#message-{message.pk}" in back
    whole = client.get(f"{LISTS['tasks']}{other.pk}/change/").content.decode()
    assert f'{LISTS["conversations"]}{chat}/change/"' in whole


def test_an_operator_who_may_not_see_tasks_sees_none_in_a_transcript(alice: User) -> None:
    message = MessageFactory.create(conversation__user=alice)
    TaskFactory.create(user=alice, title="Secret", conversation_id=message.conversation_id, message=message)
    page = staff_with("view_conversation").get(f"{LISTS['conversations']}{message.conversation_id}/change/")
    assert "Secret" not in page.content.decode()


def test_a_transcript_makes_five_queries_however_long_it_is(
    client: Client, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    chat = ConversationFactory.create(user=alice)
    url = f"{LISTS['conversations']}{chat.pk}/change/"
    client.get(url)
    for _ in range(30):
        message = MessageFactory.create(conversation=chat)
        TaskFactory.create(user=alice, conversation=chat, message=message)
    with django_assert_num_queries(5):  # session, operator, conversation, messages, tasks
        client.get(url)
