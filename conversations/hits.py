"""The messages of one conversation that match a search, so that its transcript can lead from one to the next."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import OperationalError, connection

from conversations.models import Conversation, Message
from conversations.queries import list_messages_before
from conversations.search import by_index, with_words, words_query
from todo_mcp.core.database_causes import DatabaseCause
from todo_mcp.postgres.health.causes import cause_of

HITS_MAX = 10_000  # latest matching messages that a transcript leads to
DIRECT_BYTES = 300_000  # a conversation up to this size is read; of a larger one, the index of words finds the hits
MILLISECONDS_MAX = 1_500  # the index alone cannot find a phrase, for which long messages are read
# To split a text into its words again is what takes long. At these costs, and because ``list_messages_before`` lets it
# expect many messages, PostgreSQL avoids that even for a word that is in almost every message.
_COSTS = "SET LOCAL cpu_operator_cost = 1; SET LOCAL cpu_index_tuple_cost = 0"


@dataclass(frozen=True)
class Hits:
    """Ids of the matching messages, in order; ``are_cut`` if there are older ones.

    ``number`` is the place of the hit at which the page is, from 1. ``previous`` and ``next`` are the hits around it.
    If the page is at no hit, ``number`` is None, and ``next`` is the first hit from the top of the page. The first hit
    follows the last one.
    """

    ids: Sequence[int]
    are_cut: bool
    number: int | None
    previous: int | None
    next: int | None


def find_hits(conversation: Conversation, words: Sequence[str]) -> tuple[list[int], bool] | None:
    """The ids of the matching messages, in order, and whether older ones were left out. None if it takes too long."""
    query = words_query(words)
    if conversation.stored_bytes <= DIRECT_BYTES:
        every = with_words(Message.objects.filter(conversation=conversation), query)
        return sorted(every.order_by().values_list("pk", flat=True)), False
    latest = with_words(list_messages_before(conversation.pk), query).values_list("pk", flat=True)
    try:
        with by_index(), connection.cursor() as cursor:
            cursor.execute(f"{_COSTS}; SET LOCAL statement_timeout = {MILLISECONDS_MAX}")
            found = list(latest[: HITS_MAX + 1])
    except OperationalError as error:
        if cause_of(error) is not DatabaseCause.TIMEOUT:
            raise
        return None
    return found[HITS_MAX - 1 :: -1], len(found) > HITS_MAX


def hits_around(ids: Sequence[int], are_cut: bool, *, at: int | None, first: int) -> Hits:
    """The hits, seen from the message ``at``, or from a page whose first message is ``first``."""
    place = bisect_left(ids, at or first)
    is_at = list(ids[place : place + 1]) == [at]
    return Hits(
        ids,
        are_cut,
        number=place + 1 if is_at else None,
        previous=ids[place - 1] if ids else None,
        next=ids[(place + is_at) % len(ids)] if ids else None,
    )
