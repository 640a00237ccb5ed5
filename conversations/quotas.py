"""What conversations use of their user's quotas."""

from django.db.models import F, Sum
from django.db.models.functions import Coalesce

from conversations.models import Conversation
from conversations.queries import OctetLength
from todo_mcp.quotas import services
from todo_mcp.quotas.usage import ROW_BYTES


def stored_bytes(user_id: str) -> int:
    """What the user's conversations and their messages store. Each conversation knows the size of its messages."""
    rows = Conversation.objects.filter(user_id=user_id)
    ref, title, metadata = (Coalesce(OctetLength(name), 0) for name in ("ref", "title", "metadata"))
    return int(rows.aggregate(size=Sum(F("stored_bytes") + ref + title + metadata + ROW_BYTES))["size"] or 0)


services.BYTE_COUNTS.append(stored_bytes)
