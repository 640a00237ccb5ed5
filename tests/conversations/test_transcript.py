"""The transcript of a conversation: its pages, the words that are searched, and the tasks created from messages."""

import re
from html import unescape

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations import hits, transcript
from conversations.models import Conversation
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.operators import LISTS, sign_in, staff_with
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def chat(alice: User) -> Conversation:
    return ConversationFactory.create(user=alice)


def say(chat: Conversation, *texts: str) -> list[int]:
    return [MessageFactory.create(conversation=chat, content=text).pk for text in texts]


def read(client: Client, chat: Conversation, query: str = "") -> str:
    return client.get(f"{LISTS['conversations']}{chat.pk}/change/{query}").content.decode()


def follow(client: Client, page: str, label: str) -> str:
    """The page to which a link of this page leads."""
    found = re.search(rf'href="(\?[^"#]*)(#message-\d+)">[^<]*{label}', page)
    assert found, label
    path = re.search(rf"({LISTS['conversations']}\d+/change/)", page)
    assert path
    return client.get(path[1] + unescape(found[1])).content.decode()


def place(page: str) -> str:
    """What the page says of the number of matches."""
    return " ".join((re.search(r'role="status">([^<]*)<', page) or ["", "no search"])[1].split())


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


def test_a_message_of_another_conversation_is_not_shown(client: Client, chat: Conversation) -> None:
    other = MessageFactory.create(content="oat flakes")
    assert "oat flakes" not in read(client, chat, f"?only={other.pk}")
    assert "oat flakes" not in read(client, chat, f"?only={other.pk}&q=oat")


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
    assert page.count(link) == 3 and page.count(f'href="{LISTS["tasks"]}{other.pk}/change/"') == 1
    back = client.get(f"{LISTS['tasks']}{task.pk}/change/").content.decode()
    assert f"{LISTS['conversations']}{chat}/change/?at={message.pk}#message-{message.pk}" in back
    whole = client.get(f"{LISTS['tasks']}{other.pk}/change/").content.decode()
    assert f'{LISTS["conversations"]}{chat}/change/"' in whole


def test_an_operator_who_may_not_see_tasks_sees_none_in_a_transcript(alice: User) -> None:
    message = MessageFactory.create(conversation__user=alice)
    TaskFactory.create(user=alice, title="Secret", conversation_id=message.conversation_id, message=message)
    page = staff_with("view_conversation").get(f"{LISTS['conversations']}{message.conversation_id}/change/")
    assert "Secret" not in page.content.decode()


def test_a_transcript_makes_eight_queries_however_long_it_is(
    client: Client,
    alice: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chat = ConversationFactory.create(user=alice)
    url = f"{LISTS['conversations']}{chat.pk}/change/"
    client.get(url)
    for _ in range(30):
        message = MessageFactory.create(conversation=chat)
        TaskFactory.create(user=alice, conversation=chat, message=message)
    with django_assert_num_queries(8):  # session, operator, conversation, messages, their tasks, calls (2), tasks
        client.get(url)
    with django_assert_num_queries(10):  # and the matches, and their texts
        client.get(f"{url}?q=message")
    monkeypatch.setattr(hits, "DIRECT_BYTES", 0)
    with django_assert_num_queries(14):  # and a savepoint, two settings and the release
        client.get(f"{url}?q=message")


@pytest.mark.parametrize("direct_bytes", [hits.DIRECT_BYTES, 0], ids=["read", "by index"])
@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ("milk", ["Milk", "milk", "milk"]),
        ("oat milk", ["oat", "milk"]),
        ('"oat milk"', ["oat", "milk"]),
        ("mil*", ["Milk", "milk", "milk", "mild"]),
        ("milk -oat", ["Milk", "milk"]),
        ("oat or mild", ["oat", "mild"]),
        ("user:alice milk", ["Milk", "milk", "milk"]),
        ("mil", []),
        ("!* & :*", []),
        ("\0", []),
    ],
)
def test_the_words_are_marked_in_the_messages_that_match(
    client: Client,
    chat: Conversation,
    words: str,
    marked: list[str],
    direct_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hits, "DIRECT_BYTES", direct_bytes)
    say(chat, "Milk, and milk again.", "An oat milk", "A mild bread")
    MessageFactory.create(content="milk of another conversation")
    page = client.get(f"{LISTS['conversations']}{chat.pk}/change/", {"q": words}).content.decode()
    assert re.findall("<mark>(.*?)</mark>", page) == marked


def test_the_number_of_matches_is_shown_and_next_match_leads_to_each_also_beyond_the_page(
    client: Client, chat: Conversation
) -> None:
    keys = say(chat, *(f"Turn {n}{', milk' if n in (3, 30, 31, 58) else ''}." for n in range(60)))
    page = read(client, chat, "?q=milk")
    assert place(page) == "4 matches" and page.count("<mark>") == 1
    for number, turn in enumerate((58, 3, 30, 31, 58), start=3):
        page = follow(client, page, "Next match")
        assert place(page) == f"Match {number % 4 + 1} of 4"
        assert f'id="message-{keys[turn]}" class="todo-user todo-found"' in page and "<mark>milk</mark>" in page
    page = follow(client, page, "Previous match")
    assert place(page) == "Match 3 of 4"


def test_other_links_of_a_page_keep_the_words(client: Client, chat: Conversation) -> None:
    keys = say(chat, *(["milk"] * 45), "x" * 5000)
    page = read(client, chat, f"?at={keys[30]}&q=milk")
    links = re.findall(r'href="(\?[^"]*)"', page.partition("messages-title")[2])
    kept = {link for link in links if "q=milk" in link}
    assert set(links) - kept == {f"?at={keys[30]}#messages-title"}  # Clear
    assert {f"?q=milk&amp;before={keys[20]}#messages-title", f"?q=milk&amp;after={keys[39]}#messages-title"} <= kept
    assert f'href="?at={keys[31]}&amp;q=milk#message-{keys[31]}"' in page


def test_the_text_of_a_match_is_escaped_and_otherwise_unchanged(client: Client, chat: Conversation) -> None:
    say(chat, "<b>milk</b>  well-known\n\n&amp; http://x.example/milk <script>alert(1)</script>")
    page = read(client, chat, "?q=milk")
    text = (
        "&lt;b&gt;<mark>milk</mark>&lt;/b&gt;  well-known\n\n&amp;amp; http://x.example/milk "
        "&lt;script&gt;alert(1)&lt;/script&gt;"
    )
    assert f'dir="auto">{text}</div>' in page


@pytest.mark.parametrize("text", ["\ue000<i>\ue001 milk", "milk " + "x" * 3000])
def test_a_text_that_marks_would_change_is_shown_without_them(client: Client, chat: Conversation, text: str) -> None:
    say(chat, text)
    page = read(client, chat, "?q=milk")
    assert place(page) == "1 match" and "<mark>" not in page
    assert text.replace("<i>", "&lt;i&gt;") in page


def test_a_long_match_is_not_folded_and_a_match_in_the_cut_part_is_announced(
    client: Client, chat: Conversation
) -> None:
    _, cut = say(chat, "word " * 500 + "milk", "word " * 2000 + "bread")
    page = read(client, chat, "?q=milk+or+bread")
    assert "<mark>milk</mark>" in page and "<details>" not in page.partition("todo-messages")[2]
    assert f'<a href="?q=milk+or+bread&amp;only={cut}">6005 more characters, with the words</a>' in page
    page = read(client, chat, f"?q=milk+or+bread&only={cut}")
    assert "<mark>bread</mark>" in page and place(page) == "Match 2 of 2"


def test_a_search_without_matches_says_so(client: Client, chat: Conversation) -> None:
    say(chat, "tea")
    assert place(read(client, chat, "?q=milk")) == "No message of this conversation has these words."
    assert place(read(client, chat)) == "no search"


def test_the_latest_matches_are_shown_if_there_are_too_many(
    client: Client, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits, "DIRECT_BYTES", 0)
    monkeypatch.setattr(hits, "HITS_MAX", 3)
    keys = say(chat, *["milk"] * 5)
    page = read(client, chat, f"?q=milk&at={keys[2]}")
    assert place(page) == "Match 1 of 3, the latest ones" and page.count("<mark>") == 3


def test_a_search_that_takes_too_long_is_given_up(
    client: Client, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits, "DIRECT_BYTES", 0)
    monkeypatch.setattr(hits, "MILLISECONDS_MAX", 1)
    say(chat, *[f"milk {n} " + "bread tea " * 9000 for n in range(20)])
    page = read(client, chat, '?q="bread+tea"')
    assert place(page).startswith("The matches in this long conversation take too long to find.")
    assert "bread tea" in page


def test_each_message_has_a_link_that_can_be_copied(client: Client, chat: Conversation) -> None:
    (key,) = say(chat, "milk")
    assert f'href="?at={key}#message-{key}" title="Link to message {key}"' in read(client, chat)


def test_the_head_of_a_transcript_is_one_line(client: Client, chat: Conversation) -> None:
    say(chat, "milk", "bread")
    page = read(client, chat)
    assert "<span>2 messages</span>" in page and "last activity" in page and "started" in page


def test_a_message_shows_its_tasks_however_many_the_conversation_has(
    client: Client, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "TASKS_MAX", 2)
    first, last = say(chat, "one", "two")
    for title, message in (("A", first), ("B", first), ("C", last)):
        TaskFactory.create(user=chat.user, title=f"Task {title}", conversation=chat, message_id=message)
    page = read(client, chat, f"?only={last}")
    assert "Only the first 2 are listed" in page and "Not all tasks of these messages" not in page
    assert "Task C" in page.partition("messages-title")[2]
    assert "Not all tasks of these messages are shown." in read(client, chat)


def test_who_may_not_see_conversations_or_is_not_signed_in_gets_no_transcript(chat: Conversation) -> None:
    say(chat, "Secret")
    url = f"{LISTS['conversations']}{chat.pk}/change/?q=secret"
    assert staff_with("view_task").get(url).status_code == 403
    assert Client().get(url).status_code == 302
