"""Search for words in what was said; by the index alone, so that a million messages do not slow it down."""

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

FOUND_MAX = 500  # messages that a search finds, the latest
RECENT = 1_000  # messages that are looked through first, one by one
FREQUENT = 25  # a word that so many of these say is not looked for in others: the index would name too many
RECENT_BYTES = 20_000  # of a message that is looked through
REACH = 50_000  # messages among which the index is asked first, then among REACH_GROWS times as many
REACH_GROWS = 20
PREFIX_MIN = 3  # letters before a *
HEADLINE_FROM = 20_000  # characters of a message in which its headline is looked for
_MARKS = "\ue000", "\ue001"  # around a found word, until the text is escaped; of Unicode's private use

# The planner would rather read all messages backwards and split each into words again, which can take seconds. So does
# what it finds in the index where it has no memory to remember messages instead of pages.
_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL work_mem = '64MB'"


class OctetLength(Length):
    """The bytes of a text, which PostgreSQL knows without reading it."""

    function = "OCTET_LENGTH"


def words_query(words: Iterable[str]) -> SearchQuery:
    """All of the words; "…" is a phrase, ``or`` and ``-`` mean what they do on the web, ``mil*`` is a beginning."""
    begun = [word[:-1] for word in words if word[-1:] == "*" and word[:-1].isalnum() and len(word) > PREFIX_MIN]
    whole = " ".join(word for word in words if word[:-1] not in begun or word[-1:] != "*")
    queries = [SearchQuery(f"'{word}':*", config=WORDS_CONFIG, search_type="raw") for word in begun]
    if whole:
        queries.append(SearchQuery(whole, config=WORDS_CONFIG, search_type="websearch"))
    query = queries[0]
    for other in queries[1:]:
        query &= other
    return query


def find_messages(
    query: SearchQuery, conversations: QuerySet[Conversation] | None, role: str | None
) -> tuple[dict[int, int], bool]:
    """The conversations in which this was said, each with the latest message that says it; and whether more may exist.

    Of at most FOUND_MAX messages, the latest; of a frequent word, of those among RECENT. Only these conversations, and
    only by this role, where they are given.
    """
    said = Message.objects.annotate(words=SearchVector("content", config=WORDS_CONFIG)).filter(words=query)
    if role:
        said = said.filter(role=role)
    if conversations is not None:
        said = said.filter(conversation__in=conversations.order_by().values("pk"))
    newest = _newest()
    found = _latest(said.annotate(bytes=OctetLength("content")).filter(pk__gt=newest - RECENT, bytes__lt=RECENT_BYTES))
    frequent = len(found) >= FREQUENT
    if not frequent:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_BY_INDEX)
            found = _latest_by_index(said, newest)
    return dict(reversed(found)), frequent or len(found) == FOUND_MAX


def _latest(said: QuerySet[Any]) -> list[tuple[int, int]]:
    return list(said.order_by("-pk").values_list("conversation_id", "pk")[:FOUND_MAX])


def _latest_by_index(said: QuerySet[Any], newest: int) -> list[tuple[int, int]]:
    """The latest, sought further and further back, so that few are read to find them: the index knows no order."""
    reach = REACH
    while reach < newest:
        found = _latest(said.filter(pk__gt=newest - reach))
        if len(found) == FOUND_MAX:
            return found
        reach *= REACH_GROWS
    return _latest(said)


def _newest() -> int:
    return Message.objects.aggregate(id=Max("id"))["id"] or 0


def headlines(query: SearchQuery, message_ids: Iterable[int]) -> dict[int, SafeString]:
    """For each message the piece of it that was found, the words marked; escaped. One query."""
    start, stop = _MARKS
    headline = SearchHeadline(
        Left("content", HEADLINE_FROM),
        query,
        config=WORDS_CONFIG,
        start_sel=start,
        stop_sel=stop,
        min_words=10,
        max_words=24,
        short_word=0,  # type: ignore[arg-type] # the stubs have a text
        max_fragments=1,  # with words before and after what was found
    )
    rows: Any = Message.objects.filter(pk__in=list(message_ids)).values_list("pk", headline)
    return {pk: _marked(text) for pk, text in rows}


def _marked(text: str) -> SafeString:
    start, stop = _MARKS
    marked = re.sub(f"{start}(.*?){stop}", r"<mark>\1</mark>", escape(text), flags=re.DOTALL)
    return mark_safe(f"<bdi>{marked}</bdi>")  # noqa: S308 (escaped, and the tags are ours)
