"""Find anything: what one line of text may name, in all that operators may view.

The text is a user's id, name or e-mail; the number of a task or a conversation; the id of a request; or words of a
task, of a conversation's title or of a message. The value of a token is looked up by its hash and is never part of an
address.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib.admin.utils import quote
from django.db.models import Case, Q, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from conversations.models import Conversation
from conversations.operators.titles import find_titles
from conversations.search import find_excerpts, search_words
from tasks.models import Task
from tasks.operators.activity import Filters, find_calls
from tasks.operators.activity_lines import AROUND, request_url
from tasks.operators.finding import tasks_with_words
from tasks.operators.words import status_in_words
from todo_mcp.admin_kit.base import isolated, positive
from todo_mcp.admin_kit.site import may_view
from todo_mcp.core.request_ids import time_of
from todo_mcp.operators.calls.address import calls_url
from todo_mcp.statistics.refused_calls import refused_calls_of_request
from todo_mcp.users.models import User

SHOWN = 10  # results of each kind
_REQUEST_ID = re.compile(r"(?=.*[0-9])[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True)
class Result:
    """One line: its name and its address, and a note."""

    name: SafeString
    url: str
    note: SafeString | str = ""


@dataclass(frozen=True)
class Section:
    """The results of one kind. If there are more, ``is_cut`` is set, and ``more_url`` is a page with them, if any."""

    title: str
    results: Sequence[Result]
    is_cut: bool = False
    more_url: str = ""


def looks_like_request(text: str) -> bool:
    """Whether the text may be the id of a request."""
    return bool(_REQUEST_ID.fullmatch(text))


def find_anything(request: HttpRequest, text: str, *, words: bool) -> list[Section]:
    """What the text names, of what this operator may view. Kinds without a result are left out.

    Args:
        words: search in the words of tasks, titles and messages too.
    """
    finders: list[tuple[str, Callable[[str], Section]]] = [
        ("users.user", _users),
        ("tasks.task", _task),
        ("conversations.conversation", _conversation),
    ]
    if looks_like_request(text):
        finders += [("tasks.task", _changes), ("statistics.callstatistics", _refused)]
    if words:
        chats = "conversations.conversation"
        finders += [("tasks.task", _tasks), (chats, _titles), (chats, _messages)]
    sections = [find(text) for model, find in finders if may_view(model)(request)]
    return [section for section in sections if section.results]


def _users(text: str) -> Section:
    fits = Q(pk__startswith=text) | Q(name__icontains=text) | Q(email__icontains=text)
    exact_first = Case(When(Q(pk=text) | Q(email__iexact=text), then=Value(0)), default=Value(1))
    rows = list(User.objects.filter(fits).order_by(exact_first, "pk")[: SHOWN + 1])
    results = [
        Result(isolated(row.pk), _page("users_user", row.pk), isolated(" · ".join(filter(None, (row.name, row.email)))))
        for row in rows
    ]
    return Section("Users", results[:SHOWN], len(results) > SHOWN, _list("users_user", q=text))


def _task(text: str) -> Section:
    return Section("Task by number", [_task_result(row) for row in Task.objects.filter(pk=positive(text) or 0)])


def _conversation(text: str) -> Section:
    rows = Conversation.objects.filter(pk=positive(text) or 0).only("title", "user_id")
    results = [_conversation_result(row.pk, isolated(row.title) if row.title else None, row.user_id) for row in rows]
    return Section("Conversation by number", results)


def _changes(text: str) -> Section:
    """What this request changed. The id of a client has no time: then only the latest changes are looked at."""
    at = time_of(text)
    filters = Filters(request=text, since=at and at - AROUND, until=at and at + AROUND)
    found = find_calls(filters, limit=1)
    name = SafeString("What this request changed")
    return Section(
        "Request",
        [Result(name, request_url(text, place.at), f"{place.at:%Y-%m-%d %H:%M:%S} UTC") for place in found.places],
    )


def _refused(text: str) -> Section:
    results = [
        Result(
            format_html("{} refused: {}", row.tool, row.outcome),
            calls_url(span="30d", request=text),
            f"{row.at:%Y-%m-%d %H:%M:%S} UTC",
        )
        for row in refused_calls_of_request(text)[:SHOWN]
    ]
    return Section("Refused calls", results)


def _tasks(text: str) -> Section:
    rows, more = tasks_with_words(text, SHOWN)
    return Section("Tasks", [_task_result(row) for row in rows], more)  # the list of tasks searches only titles


def _titles(text: str) -> Section:
    found, more = find_titles(search_words(text))
    results = [_conversation_result(one.pk, one.title, one.user_id) for one in found[:SHOWN]]
    more_url = _list("conversations_conversation", q=text)
    return Section("Conversations by title", results, more or len(found) > SHOWN, more_url)


def _messages(text: str) -> Section:
    found, more = find_excerpts(search_words(text), SHOWN)
    results = [
        Result(
            one.text,
            one.url,
            format_html(
                "{} in a conversation of {}, {} UTC",
                one.role,
                isolated(one.user_id),
                f"{one.created_at:%Y-%m-%d %H:%M}",
            ),
        )
        for one in found
    ]
    return Section("Messages", results, more, _list("conversations_conversation", q=text))


def _task_result(task: Task) -> Result:
    note = format_html("{}, of {}", status_in_words(task), isolated(task.user_id))
    return Result(isolated(task.title), _page("tasks_task", task.pk), note)


def _conversation_result(key: int, title: SafeString | None, user_id: str) -> Result:
    """A conversation under its title, if it has one, or under its number."""
    name = title or SafeString(f"Conversation {key}")
    note = format_html("conversation {}, of {}" if title else "of {1}", key, isolated(user_id))
    return Result(name, _page("conversations_conversation", key), note)


def _page(name: str, key: int | str) -> str:
    return reverse(f"admin:{name}_change", args=[quote(key)])


def _list(name: str, **query: str) -> str:
    return reverse(f"admin:{name}_changelist", query=query)
