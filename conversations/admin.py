"""Conversations for operators: find one, read its messages, delete it. Nobody edits what was said."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Left, Length
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from conversations import services
from conversations.models import CONTENT_MAX, Conversation, Message
from todo_mcp.admin_actions import RowAction
from todo_mcp.admin_base import BaseAdmin, UserFilter, isolated, positive, time_column

MESSAGES_COUNTED = 100  # messages that the list counts in a conversation
PAGE = 20  # messages on a page
PREVIEW = 100  # characters of the last message in the list
SHOWN = 4_000  # characters of a message, unless it is opened


@dataclass(frozen=True)
class MessagePage:
    """Some messages in order, and the ids from which to go on in either direction, where there are more."""

    messages: list[dict[str, Any]]
    older: int | None = None
    newer: int | None = None
    alone: bool = False


def message_page(conversation_id: int, *, before: int | None, after: int | None, only: int | None) -> MessagePage:
    """The latest messages; or those before an id, after an id, or one alone and whole. One query, by index."""
    rows = Message.objects.filter(conversation_id=conversation_id)
    if only:
        return MessagePage(_read(rows.filter(pk=only), CONTENT_MAX), alone=True)
    if after:
        found = _read(rows.filter(pk__gt=after).order_by("pk")[: PAGE + 1])
        page = found[:PAGE]
        more = len(found) > PAGE
        return MessagePage(page, older=page[0]["pk"] if page else None, newer=page[-1]["pk"] if more else None)
    found = _read((rows.filter(pk__lt=before) if before else rows).order_by("-pk")[: PAGE + 1])
    page = found[:PAGE][::-1]
    return MessagePage(
        page,
        older=page[0]["pk"] if len(found) > PAGE else None,
        newer=page[-1]["pk"] if before and page else None,
    )


def _read(rows: QuerySet[Message], length: int = SHOWN) -> list[dict[str, Any]]:
    columns = rows.values("pk", "role", "created_at", text=Left("content", length), size=Length("content"))
    return [{**row, "rest": row["size"] - len(row["text"])} for row in columns]


@admin.register(Conversation)
class ConversationAdmin(BaseAdmin):
    list_display = ["shown_id", "owner", "latest", "messages", "created", "updated"]
    list_filter = [UserFilter, "created_at", "updated_at"]
    search_fields = ["user__id__startswith"]
    search_help_text = "Words of a message, an id, or user:ID"
    ordering = ["-id"]
    sortable_by = ["updated"]
    fields = [("owner", "created", "updated")]
    readonly_fields = ["owner", "created", "updated"]
    change_form_outer_after_template = "admin/conversation_messages.html"
    row_actions = [
        RowAction(
            name="delete_conversation",
            label="Delete",
            done="Deleted",
            permission="delete",
            confirm="Every message goes at once too, and nothing can be brought back.",
            removes=True,
            perform=lambda row: services.delete_conversation(user_id=row.user_id, conversation_id=row.pk),
        )
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        messages = Message.objects.filter(conversation=OuterRef("pk"))
        counted = ArraySubquery(messages.order_by().values("pk")[: MESSAGES_COUNTED + 1])
        conversations: QuerySet[Conversation] = super().get_queryset(request)
        return conversations.annotate(
            message_count=Func(counted, function="CARDINALITY", output_field=IntegerField())
        ).annotate(latest_text=Subquery(messages.order_by("-pk").values(text=Left("content", PREVIEW))[:1]))

    def matching(self, word: str) -> Q:
        found = super().matching(word)
        if word.startswith("user:"):
            return found
        return found | Q(Exists(Message.objects.filter(conversation=OuterRef("pk"), content__icontains=word)))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if conversation := kwargs.get("obj"):
            asked = {name: positive(request.GET.get(name)) for name in ("before", "after", "only")}
            context["page"] = message_page(conversation.pk, **asked)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="conversation")
    def shown_id(self, conversation: Conversation) -> str:
        return str(conversation)

    @admin.display(description="last message")
    def latest(self, conversation: Any) -> SafeString:
        return isolated(conversation.latest_text or "—")

    @admin.display(description="messages")
    def messages(self, conversation: Any) -> str:
        count = conversation.message_count
        return f"{MESSAGES_COUNTED}+" if count > MESSAGES_COUNTED else str(count)

    created = time_column("created_at", "created")
    updated = time_column("updated_at", "updated", sortable=True)
