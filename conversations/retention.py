"""A person's rights over their conversations: a copy, and to be forgotten."""

from typing import Any

from conversations.models import Conversation, Message


def export_conversations(*, user_id: str) -> list[dict[str, Any]]:
    """Everything kept of a user's conversations, oldest first, each with its messages in order."""
    conversations = Conversation.objects.filter(user_id=user_id).order_by("id").values("id", "created_at", "updated_at")
    exported: dict[int, dict[str, Any]] = {row["id"]: {**row, "messages": []} for row in conversations}
    messages = Message.objects.filter(user_id=user_id).order_by("id")
    for message in messages.values("conversation_id", "id", "role", "content", "created_at"):
        exported[message["conversation_id"]]["messages"].append(message)
    return list(exported.values())


def erase_conversations(*, user_id: str) -> int:
    """Remove a user's conversations with their messages, in the caller's transaction; returns how many."""
    Message.objects.filter(user_id=user_id).delete()
    count, _ = Conversation.objects.filter(user_id=user_id).delete()
    return count
