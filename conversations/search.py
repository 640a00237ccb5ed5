"""Search for words in messages. It reads by index only, so that a million messages do not slow it down."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchVector
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import smart_split

from conversations.models import WORDS_CONFIG, Conversation, Message
from conversations.queries import OctetLength
from todo_mcp.admin_kit.base import WORDS_MAX

MATCHES_MAX = 500  # latest matching messages that a search returns
RECENT = 1_000  # latest messages before the end of the days, which a search reads first, one by one
FREQUENT = 25  # with this many matches among RECENT, skip the index: it would return too many messages
RECENT_BYTES = 20_000  # the first step leaves out longer messages
REACH = 50_000  # latest messages that the first index search covers; each further one covers REACH_GROWS times as many
REACH_GROWS = 20
PREFIX_MIN = 3  # the smallest number of letters before a *
HEADLINE_FROM = 20_000  # first characters of a message, from which the headline is taken
_MARKS = "\ue000", "\ue001"  # private-use characters around a matching word, until the text is escaped

# Otherwise the planner may read all messages backwards and split each into words again, which can take seconds. The
# memory keeps the bitmap exact: a lossy bitmap rechecks every message of a page, which can take seconds too.
_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL work_mem = '64MB'"


@dataclass(frozen=True)
class Days:
    """The messages to search: from this time, and before this time. None is no limit."""

    since: datetime | None = None
    until: datetime | None = None

    def among(self, messages: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the messages that were written in these days."""
        if self.since:
            messages = messages.filter(created_at__gte=self.since)
        return messages.filter(created_at__lt=self.until) if self.until else messages


@dataclass(frozen=True)
class Excerpt:
    """A message that a search found: who wrote it, when, the text around the words, and the message's address.

    ``text`` is escaped HTML with the words marked. ``user_id`` is the owner of the conversation.
    """

    user_id: str
    role: str
    created_at: datetime
    text: SafeString
    url: str


def search_words(text: str) -> list[str]:
    """The words of a search, without ``user:ID``. A text with NUL, which PostgreSQL cannot store, has no words."""
    terms = [] if "\0" in text else list(smart_split(text))[:WORDS_MAX]
    return [term for term in terms if not term.startswith("user:") or term == "user:"]


def words_query(words: Iterable[str]) -> SearchQuery:
    """A query for all the words. ``"…"`` is a phrase, ``or`` and ``-`` work as in web search, ``mil*`` is a prefix."""
    prefixes = [word[:-1] for word in words if word[-1:] == "*" and word[:-1].isalnum() and len(word) > PREFIX_MIN]
    web_search = " ".join(word for word in words if word[:-1] not in prefixes or word[-1:] != "*")
    queries = [SearchQuery(f"'{word}':*", config=WORDS_CONFIG, search_type="raw") for word in prefixes]
    if web_search:
        queries.append(SearchQuery(web_search, config=WORDS_CONFIG, search_type="websearch"))
    query = queries[0]
    for other in queries[1:]:
        query &= other
    return query


@contextmanager
def by_index() -> Iterator[None]:
    """A transaction in which PostgreSQL finds words by their index."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_BY_INDEX)
        yield


def find_messages(
    query: SearchQuery, *, conversations: QuerySet[Conversation] | None = None, role: str = "", days: Days = Days()
) -> tuple[list[tuple[int, int]], bool]:
    """The ids of conversation and message of the matches, latest first, and whether more matches may exist.

    A search covers the latest MATCHES_MAX matching messages. For frequent words, it covers only those among RECENT.
    ``conversations``, ``role`` and ``days`` narrow the search.
    """
    messages = days.among(with_words(Message.objects.all(), query))
    if role:
        messages = messages.filter(role=role)
    if conversations is not None:
        messages = messages.filter(conversation__in=conversations.order_by().values("pk"))
    recent = _recent(days)
    short = messages.annotate(bytes=OctetLength("content")).filter(pk__in=recent, bytes__lt=RECENT_BYTES)
    matches = _latest(short.values_list("conversation_id", "pk"))
    frequent = len(matches) >= FREQUENT
    if not frequent:
        with by_index():
            matches = latest_by_index(messages.values_list("conversation_id", "pk"), max(recent, default=0))
    return matches, frequent or len(matches) == MATCHES_MAX


def with_words(messages: QuerySet[Message], query: SearchQuery) -> QuerySet[Any]:
    """Those of the messages that match."""
    return messages.annotate(words=SearchVector("content", config=WORDS_CONFIG)).filter(words=query)


def _recent(days: Days) -> list[int]:
    """The ids of the latest messages before the end of the days."""
    order = "-created_at" if days.until else "-pk"  # each is the order of an index
    messages = Days(until=days.until).among(Message.objects.order_by(order))
    return list(messages.values_list("pk", flat=True)[:RECENT])


def latest_by_index(rows: QuerySet[Any], newest: int) -> list[Any]:
    """The latest of the rows. Their index has no order, so each step reaches further back until there are enough."""
    reach = REACH
    while reach < newest:
        found = _latest(rows.filter(pk__gt=newest - reach))
        if len(found) == MATCHES_MAX:
            return found
        reach *= REACH_GROWS
    return _latest(rows)


def _latest(rows: QuerySet[Any]) -> list[Any]:
    return list(rows.order_by("-pk")[:MATCHES_MAX])


def find_excerpts(words: Sequence[str], limit: int) -> tuple[list[Excerpt], bool]:
    """The latest messages with these words, of all users, and whether more may exist. At most nine queries."""
    if not words:
        return [], False
    matches, may_have_more = find_messages(words_query(words))
    found = excerpts(words, [pk for _, pk in matches[:limit]])
    return [found[pk] for _, pk in matches[:limit] if pk in found], may_have_more or len(matches) > limit


def excerpts(words: Sequence[str], message_ids: Iterable[int]) -> dict[int, Excerpt]:
    """An excerpt of each message around the words. One query."""
    headline = SearchHeadline(
        Left("content", HEADLINE_FROM),
        words_query(words),
        config=WORDS_CONFIG,
        start_sel=_MARKS[0],
        stop_sel=_MARKS[1],
        min_words=10,
        max_words=24,
        short_word=0,  # type: ignore[arg-type] # the stubs expect a string
        max_fragments=1,  # gives an excerpt with the words before and after the match
    )
    columns = ("pk", "conversation_id", "user_id", "role", "created_at", headline)
    rows: Any = Message.objects.filter(pk__in=list(message_ids)).values_list(*columns)
    return {
        pk: Excerpt(user_id, role, at, format_html("<bdi>{}</bdi>", as_html(text)), message_url(chat, pk, words))
        for pk, chat, user_id, role, at, text in rows
    }


def marked_texts(words: Sequence[str], texts: dict[int, str]) -> dict[int, SafeString]:
    """These messages' texts, or their beginnings, as escaped HTML with the words marked. One query.

    It leaves out a text without a mark. It also leaves out a text that PostgreSQL would change, because it drops
    words of over 2,047 bytes.
    """
    length = max(map(len, texts.values()), default=0)
    start, stop = _MARKS
    whole = marks_of_whole(Left("content", length), words_query(words))
    rows: Any = Message.objects.filter(pk__in=texts).values_list("pk", whole)
    return {
        pk: as_html(text) for pk, text in rows if start in text and re.sub(f"[{start}{stop}]", "", text) == texts[pk]
    }


def marks_of_whole(text: Any, query: SearchQuery) -> SearchHeadline:
    """The whole text, with the words marked for ``as_html``."""
    start, stop = _MARKS
    return SearchHeadline(text, query, config=WORDS_CONFIG, start_sel=start, stop_sel=stop, highlight_all=True)


def message_url(conversation_id: int, message_id: int, words: Sequence[str] = ()) -> str:
    """The address of a message in its transcript, in which these words are marked."""
    query = {"at": message_id} | ({"q": " ".join(words)} if words else {})
    name = "admin:conversations_conversation_change"
    return reverse(name, args=[conversation_id], query=query, fragment=f"message-{message_id}")


def as_html(text: str) -> SafeString:
    """The text as escaped HTML, in which the words are marked."""
    start, stop = _MARKS
    marked = re.sub(f"{start}(.*?){stop}", r"<mark>\1</mark>", escape(text), flags=re.DOTALL)
    return mark_safe(marked)  # noqa: S308 (the text is escaped, and the tags are constants)
