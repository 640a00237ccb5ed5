"""Search for words in messages. It reads by index only, so that a million messages do not slow it down."""

import re
from collections.abc import Iterable
from typing import Any

from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchVector
from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Left, Length
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from conversations.models import WORDS_CONFIG, Conversation, Message

MATCHES_MAX = 500  # latest matching messages that a search returns
RECENT = 1_000  # latest messages, which a search reads first, one by one
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


class OctetLength(Length):
    """The size of a text in bytes, which PostgreSQL knows without reading the text."""

    function = "OCTET_LENGTH"


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


def find_messages(
    query: SearchQuery, conversations: QuerySet[Conversation] | None, role: str | None
) -> tuple[dict[int, int], bool]:
    """Map the matching conversations to their latest matching messages; also return whether more matches may exist.

    A search covers the latest MATCHES_MAX matching messages. For frequent words, it covers only those among RECENT.
    ``conversations`` and ``role`` narrow the search, if given.
    """
    messages = Message.objects.annotate(words=SearchVector("content", config=WORDS_CONFIG)).filter(words=query)
    if role:
        messages = messages.filter(role=role)
    if conversations is not None:
        messages = messages.filter(conversation__in=conversations.order_by().values("pk"))
    newest = _newest()
    recent = messages.annotate(bytes=OctetLength("content")).filter(pk__gt=newest - RECENT, bytes__lt=RECENT_BYTES)
    matches = _latest(recent)
    frequent = len(matches) >= FREQUENT
    if not frequent:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_BY_INDEX)
            matches = _latest_by_index(messages, newest)
    return dict(reversed(matches)), frequent or len(matches) == MATCHES_MAX


def _latest(messages: QuerySet[Any]) -> list[tuple[int, int]]:
    return list(messages.order_by("-pk").values_list("conversation_id", "pk")[:MATCHES_MAX])


def _latest_by_index(messages: QuerySet[Any], newest: int) -> list[tuple[int, int]]:
    """The latest matches. The index has no order, so each step reaches further back until there are enough matches."""
    reach = REACH
    while reach < newest:
        matches = _latest(messages.filter(pk__gt=newest - reach))
        if len(matches) == MATCHES_MAX:
            return matches
        reach *= REACH_GROWS
    return _latest(messages)


def _newest() -> int:
    return Message.objects.aggregate(id=Max("id"))["id"] or 0


def headlines(query: SearchQuery, message_ids: Iterable[int]) -> dict[int, SafeString]:
    """An excerpt of each message around the match, as escaped HTML with the words marked. One query."""
    start, stop = _MARKS
    headline = SearchHeadline(
        Left("content", HEADLINE_FROM),
        query,
        config=WORDS_CONFIG,
        start_sel=start,
        stop_sel=stop,
        min_words=10,
        max_words=24,
        short_word=0,  # type: ignore[arg-type] # the stubs expect a string
        max_fragments=1,  # gives an excerpt with the words before and after the match
    )
    rows: Any = Message.objects.filter(pk__in=list(message_ids)).values_list("pk", headline)
    return {pk: _marked(text) for pk, text in rows}


def _marked(text: str) -> SafeString:
    start, stop = _MARKS
    marked = re.sub(f"{start}(.*?){stop}", r"<mark>\1</mark>", escape(text), flags=re.DOTALL)
    return mark_safe(f"<bdi>{marked}</bdi>")  # noqa: S308 (the text is escaped, and the tags are constants)
