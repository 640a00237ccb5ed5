"""Conversations and their messages, stored for a chat backend."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models.functions import Length
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThanOrEqual
from django.utils import timezone

from todo_mcp.quotas.usage import ROW_BYTES

CONTENT_MAX = 100_000  # characters, as those of a title
TITLE_MAX = 200
REF_MAX = 64
REF = r"^(?![0-9]+$)[A-Za-z0-9][A-Za-z0-9_.:@-]*$"  # not digits alone, because those are an id
METADATA_MAX = 16 * 1024  # bytes of compact JSON, as those of an item
ITEM_MAX = 256 * 1024
WORDS_CONFIG = "simple"  # PostgreSQL's text search configuration for every language: no stems, no stop words
# What a message takes of its user's quota of bytes
STORED_BYTES = f"{ROW_BYTES} + octet_length(content) + COALESCE(octet_length(ref), 0) + COALESCE(octet_length(item), 0)"
COUNTED = "todo_mcp.messages_counted"  # "yes" in a transaction that counts its messages itself
# Adds the messages of one INSERT to their conversations.
_COUNT_MESSAGES = f"""
    UPDATE conversations SET stored_messages = stored_messages + counted.messages,
        stored_bytes = stored_bytes + counted.bytes
    FROM (
        SELECT conversation_id, count(*) AS messages, sum({STORED_BYTES}) AS bytes
        FROM added GROUP BY conversation_id
    ) counted
    WHERE conversations.id = counted.conversation_id;
    RETURN NULL;
"""  # noqa: S608 (a constant)

NOW = models.Func(function="now")  # for rows that others insert; ours get their time from Python


def _is_ref(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(name=name, condition=models.Q(ref__regex=REF))


def _is_object(name: str, column: str, maximum: int) -> models.CheckConstraint:
    """The column is the text of a JSON object of at most so many bytes."""
    size = models.Func(models.F(column), function="octet_length", output_field=models.IntegerField())
    kind = models.Func(models.F(column), template="json_typeof(%(expressions)s::json)", output_field=models.TextField())
    return models.CheckConstraint(
        name=name, condition=models.Q(LessThanOrEqual(size, maximum), Exact(kind, models.Value("object")))
    )


class Conversation(models.Model):
    """A chat of one user. ``updated_at`` is the time of the last change of its messages.

    ``ref`` is the caller's own name for it. ``metadata`` is a JSON object of the caller's, as compact text.

    ``stored_messages`` and ``stored_bytes`` of the messages are for quotas. Whoever changes messages changes these in
    the same transaction. A trigger on ``messages`` does it for each other INSERT: that of a release before, of raw SQL,
    of demo data.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, db_default=NOW, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, db_default=NOW, editable=False)
    ref = models.CharField(max_length=REF_MAX, null=True, editable=False, db_collation="C")
    title = models.CharField(max_length=TITLE_MAX, null=True, editable=False)
    metadata = models.TextField(null=True, editable=False)
    stored_messages = models.IntegerField(default=0, db_default=0, editable=False)
    stored_bytes = models.BigIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        db_table = "conversations"
        ordering = ["-updated_at", "-id"]
        constraints = [
            # The composite foreign key of messages refers to this.
            models.UniqueConstraint(fields=["id", "user"], name="conversations_id_user"),
            models.UniqueConstraint(
                fields=["user", "ref"], name="conversations_ref", condition=models.Q(ref__isnull=False)
            ),
            _is_ref("conversations_ref_form"),
            models.CheckConstraint(
                name="conversations_title_length", condition=models.Q(GreaterThanOrEqual(Length("title"), 1))
            ),
            _is_object("conversations_metadata_object", "metadata", METADATA_MAX),
        ]
        indexes = [
            models.Index(fields=["user", "updated_at", "id"], name="conversations_newest"),  # scanned backwards
            # purge: oldest first. The admin's list: newest first.
            models.Index(fields=["updated_at", "id"], name="conversations_oldest"),
            # The admin: conversations started per day, and its filter by date.
            models.Index(fields=["created_at"], name="conversations_created"),
            # The admin's word search. An append to a conversation without a title does not touch it.
            GinIndex(
                SearchVector("title", config=WORDS_CONFIG),
                name="conversations_title_words",
                condition=models.Q(title__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Conversation {self.pk}"


class Message(models.Model):
    """One message of a conversation. Its id gives its place in the order.

    ``ref`` is the caller's own name for it. ``item`` is the message as an agent SDK has it: a JSON object, as compact
    text. Text keeps the order of keys and the form of numbers, and PostgreSQL knows its size without reading it.
    """

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    id = models.BigAutoField(primary_key=True)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False, db_constraint=False
    )  # migration 0001 adds the composite foreign key (conversation_id, user_id)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    role = models.CharField(max_length=20, choices=Role)
    content = models.TextField()
    ref = models.CharField(max_length=REF_MAX, null=True, editable=False, db_collation="C")
    item = models.TextField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, db_default=NOW, editable=False)

    class Meta:
        db_table = "messages"
        ordering = ["id"]
        triggers = [
            pgtrigger.Trigger(
                name="count_messages",
                level=pgtrigger.Statement,
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                referencing=pgtrigger.Referencing(new="added"),  # type: ignore[no-untyped-call] # it publishes no types
                condition=pgtrigger.Condition(f"current_setting('{COUNTED}', true) IS DISTINCT FROM 'yes'"),
                func=_COUNT_MESSAGES,
            )
        ]
        constraints = [
            models.CheckConstraint(name="messages_role", condition=models.Q(role__in=["user", "assistant"])),
            models.CheckConstraint(
                name="messages_content_length",
                condition=models.Q(
                    GreaterThanOrEqual(Length("content"), 1), LessThanOrEqual(Length("content"), CONTENT_MAX)
                ),
            ),
            models.UniqueConstraint(
                fields=["conversation", "ref"], name="messages_ref", condition=models.Q(ref__isnull=False)
            ),
            _is_ref("messages_ref_form"),
            _is_object("messages_item_object", "item", ITEM_MAX),
        ]
        indexes = [
            models.Index(fields=["conversation", "id"], name="messages_in_order"),
            # The conversation serves the foreign key's check, which may otherwise read all messages of the user.
            models.Index(fields=["user", "conversation"], name="messages_of_user"),
            models.Index(fields=["created_at"], name="messages_created"),  # for questions of operators by time
            # The admin's word search.
            GinIndex(SearchVector("content", config=WORDS_CONFIG), name="messages_words"),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:60]}"
