"""Purge old conversations. Export or erase a user's conversations: each person has a right to both."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
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
    """Remove messages in the caller's transaction. Tasks made from them keep their conversation and lose the message.

    To clear these links, Django reads the rows first. It reads only ids, because the contents could be gigabytes.
    """
    _lock_tasks(message_id__in=ids)
    Message.objects.filter(pk__in=ids).only("pk").delete()


def remove_conversations(ids: list[int]) -> None:
    """Remove conversations and their messages in the caller's transaction. Tasks made from them lose the link."""
    _lock_tasks(conversation_id__in=ids)
    Message.objects.filter(conversation_id__in=ids).only("pk").delete()  # only ids, as above
    Conversation.objects.filter(pk__in=ids).only("pk").delete()


def _lock_tasks(**made_from: list[int]) -> None:
    """Lock the tasks whose links go, in the order in which calls on several tasks lock them: that of their ids."""
    tasks: Any = Message._meta.get_field("tasks").related_model
    list(tasks.objects.filter(**made_from).order_by("pk").select_for_update(no_key=True).values_list("pk"))


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
