"""Purge old conversations. Export or erase a user's conversations: each person has a right to both."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from conversations.models import Conversation, Message
from todo_mcp.postgres.upkeep.purging import Purge


def _due() -> QuerySet[Conversation]:
    if not settings.CONVERSATION_DAYS:
        return Conversation.objects.none()
    before = timezone.now() - timedelta(days=settings.CONVERSATION_DAYS)
    return Conversation.objects.filter(updated_at__lt=before).order_by("updated_at", "id")


def remove_messages(ids: list[int]) -> None:
    """Remove messages in the caller's transaction. Tasks made from them lose the message and keep the conversation."""
    _clear_messages_of_tasks(message_id__in=ids)
    _delete_messages("id", ids)


def remove_conversations(ids: list[int]) -> None:
    """Remove conversations and their messages in the caller's transaction. Tasks made from them lose the link."""
    _clear_messages_of_tasks(conversation_id__in=ids)
    _delete_messages("conversation_id", ids)
    Conversation.objects.filter(pk__in=ids).only("pk").delete()  # Django clears the links of tasks


def _clear_messages_of_tasks(**made_from: list[int]) -> None:
    """Lock these tasks in the order in which calls on several tasks lock them, that of their ids. Then change them."""
    tasks: Any = Message._meta.get_field("tasks").related_model
    rows = tasks.objects.filter(**made_from)
    list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    rows.filter(message__isnull=False).update(message=None)


def _delete_messages(column: str, ids: list[int]) -> None:
    """Django would read the id of each message before, and there may be millions."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM messages WHERE {column} = ANY(%s)", [ids])  # noqa: S608 (a constant)


OLD_CONVERSATIONS = Purge("old conversations", _due, remove_conversations, with_rows_of=("messages",))


def export_conversations(*, user_id: str) -> list[dict[str, Any]]:
    """All stored conversations of a user, oldest first, each with its messages in order. Only fields that are set."""
    conversations = Conversation.objects.filter(user_id=user_id).order_by("id")
    columns = ("id", "ref", "title", "metadata", "created_at", "updated_at")
    export = {row["id"]: {**_exported(row), "messages": []} for row in conversations.values(*columns)}
    messages = Message.objects.filter(user_id=user_id).order_by("id")
    for message in messages.values("conversation_id", "id", "ref", "role", "content", "item", "created_at"):
        if message["conversation_id"] in export:  # leaves out a conversation that began after the first query
            export[message["conversation_id"]]["messages"].append(_exported(message))
    return list(export.values())


def _exported(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are set, with the values of JSON columns instead of their text."""
    given = {name: value for name, value in row.items() if value is not None}
    return given | {name: json.loads(given[name]) for name in ("metadata", "item") if name in given}


def lock_conversations(*, user_id: str) -> None:
    """Lock a user's conversations until the commit. Writers take these rows first, so an erasure does it too."""
    list(Conversation.objects.filter(user_id=user_id).order_by("pk").select_for_update().values_list("pk"))


def erase_conversations(*, user_id: str) -> int:
    """Remove a user's conversations and their messages in the caller's transaction. Return the number of them."""
    ids = list(Conversation.objects.filter(user_id=user_id).values_list("pk", flat=True))
    remove_conversations(ids)
    return len(ids)
