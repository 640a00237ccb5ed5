"""Items, refs and metadata on the page of a conversation: folded, as text, and never too much of it."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from conversations.models import ITEM_MAX
from conversations.operators.items import shown_json
from conversations.transcript import PAGE, TEXT_MAX
from tests.support.factories import ConversationFactory, MessageFactory
from tests.support.operators import LISTS, sign_in
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db
CALL = {"type": "function_call", "name": "add_task", "arguments": '{"title":"<script>alert(1)</script>"}', "n": 1.50}


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read(client: Client, chat: int, query: str = "") -> str:
    return client.get(f"{LISTS['conversations']}{chat}/change/{query}").content.decode()


def texts(page: str) -> list[str]:
    """The JSON texts of the page, unescaped."""
    return [unescape(text) for text in re.findall(r'<pre dir="ltr" tabindex="0">(.*?)</pre>', page, re.DOTALL)]


def test_an_item_is_folded_as_text_on_lines_of_its_own(client: Client) -> None:
    message = MessageFactory.create(item=compact(CALL), ref="msg_1")
    page = read(client, message.conversation_id)
    summary = '<details class="todo-json">\n    <summary>Item <bdi>function_call add_task</bdi> <small>'
    assert summary in page and "<script>alert" not in page
    assert texts(page) == [json.dumps(CALL, indent="\t")]
    assert '<code class="todo-ref" title="ref msg_1">msg_1</code>' in page


def test_a_message_without_item_and_ref_shows_neither(client: Client) -> None:
    message = MessageFactory.create()
    page = read(client, message.conversation_id)
    assert "todo-json" not in page and "todo-ref" not in page and ">Title<" not in page


def test_a_page_of_the_largest_items_is_light_and_says_how_much_is_left(client: Client) -> None:
    chat = ConversationFactory.create()
    item = compact({"type": "output", "text": "é" * ((ITEM_MAX - 30) // 2)})
    for _ in range(PAGE):
        message = MessageFactory.create(conversation=chat, item=item)
    page = read(client, chat.pk)
    assert len(texts(page)) == PAGE and len(page.encode()) < 400_000
    link = rf'<a href="\?only={message.pk}">24\d\.\d\xa0KB more</a>'
    assert re.search(link, page)


def test_the_page_of_one_message_shows_its_whole_item_unfolded(client: Client) -> None:
    value = {"type": "output", "text": "a" * TEXT_MAX + "end"}
    message = MessageFactory.create(item=compact(value))
    assert "end" not in texts(read(client, message.conversation_id))[0]
    page = read(client, message.conversation_id, f"?only={message.pk}")
    assert json.loads(texts(page)[0]) == value and '<details class="todo-json" open>' in page and "more</a>" not in page


def test_a_conversation_shows_its_title_its_ref_and_its_folded_metadata(client: Client) -> None:
    metadata = {"customer": "<b>Größe</b>", "tags": ["a", "ב"]}
    chat = ConversationFactory.create(title="<b>Title</b>", ref="thread:1", metadata=compact(metadata))
    page = read(client, chat.pk)
    assert texts(page) == [json.dumps(metadata, indent="\t", ensure_ascii=False)] and "<b>" not in page
    assert "&lt;b&gt;Title" in page and '<code class="todo-ref">thread:1</code>' in page
    assert '<details class="todo-json">\n    <summary>JSON <small>' in page


def test_the_list_reads_no_metadata(client: Client, django_assert_num_queries: Any) -> None:
    ConversationFactory.create(metadata=compact({"a": "b"}))
    client.get(LISTS["conversations"])
    with django_assert_num_queries(4) as queries:
        client.get(LISTS["conversations"])
    assert not [query for query in queries.captured_queries if "metadata" in query["sql"]]


@pytest.mark.parametrize("length", [1, 8, 9, 11, 14, 18, 20, 26])
def test_a_text_that_was_cut_anywhere_is_closed(length: int) -> None:
    text = compact({"a": [1, "é\\u00e9"], "b": {"c": None}})
    shown = shown_json(text[:length], len(text.encode()))
    assert isinstance(json.loads(shown.text), dict)
    assert shown.rest == len(text.encode()) - len(text[:length].encode())


@pytest.mark.parametrize("text", [compact({"a": [[[[[[[[1] * 500]]]]]]]}), '{"a":' + "1" * 5000 + "}"])
def test_a_text_that_lines_would_make_far_longer_or_that_python_cannot_read_stays_as_it_is(text: str) -> None:
    shown = shown_json(text, len(text))
    assert (shown.text, shown.kind, shown.rest) == (text, "", 0)
