"""Titles of conversations: what an operator reads instead of a number, and the search for words in titles."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.postgres.search import SearchVector
from django.db.models import Max, Q, QuerySet
from django.utils.safestring import SafeString

from conversations.models import WORDS_CONFIG, Conversation
from conversations.search import MATCHES_MAX, Days, as_html, by_index, latest_by_index, marks_of_whole, words_query
from todo_mcp.admin_kit.base import isolated
from todo_mcp.admin_kit.parameters import positive


@dataclass(frozen=True)
class TitleHit:
    """A conversation whose title has the words. ``title`` is escaped HTML with the words marked."""

    pk: int
    user_id: str
    title: SafeString


def in_words(conversation: Conversation) -> str:
    """The number of the conversation, and its title if it has one."""
    return f"{conversation}: {conversation.title}" if conversation.title else str(conversation)


def find_titles(
    words: Sequence[str], *, conversations: QuerySet[Conversation] | None = None, days: Days | None = None
) -> tuple[list[TitleHit], bool]:
    """The newest conversations whose title has all the words, and whether more may exist. At most seven queries.

    A title has no day of its own. ``days`` narrow the search to conversations that went on during some of them.
    """
    if not words:
        return [], False
    rows = (Conversation.objects.all() if conversations is None else conversations).filter(title__isnull=False)
    if days and days.since:
        rows = rows.filter(updated_at__gte=days.since)
    if days and days.until:
        rows = rows.filter(created_at__lt=days.until)
    query = words_query(words)
    matches = rows.alias(words=SearchVector("title", config=WORDS_CONFIG)).filter(words=query)
    newest = Conversation.objects.aggregate(newest=Max("pk"))["newest"] or 0
    with by_index():
        found = latest_by_index(matches.values_list("pk", "user_id", "title", marks_of_whole("title", query)), newest)
    hits = [TitleHit(pk, user_id, isolated(title, as_html(marked))) for pk, user_id, title, marked in found]
    return hits, len(hits) == MATCHES_MAX


def named(words: Sequence[str], *, of_one_user: bool) -> Q:
    """The conversation whose id is the only word. Of one user, also the one with this ref: no index has refs alone."""
    if len(words) != 1:
        return Q(pk__in=[])
    by_id = Q(pk=positive(words[0]) or 0)
    return by_id | Q(ref=words[0]) if of_one_user else by_id
