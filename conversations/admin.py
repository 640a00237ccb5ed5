"""Conversations for operators: find one by what was said, read it, see what came of it, delete it. Nobody edits it."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.search import SearchQuery
from django.db.models import Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split

from conversations import services
from conversations.models import Conversation, Message
from conversations.search import find_messages, headlines, words_query
from conversations.transcript import TASKS_MAX, Asked, message_page
from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import WORDS_MAX, BaseAdmin, isolated, positive, time_column
from todo_mcp.admin_kit.filters import UserFilter, by_days
from todo_mcp.admin_kit.site import may_view

MESSAGES_COUNTED = 100  # messages that the list counts in a conversation
PREVIEW = 100  # characters of the last message in the list
FILTERS = ("user", "created_at_from", "created_at_to", "updated_at_from", "updated_at_to")


class RoleFilter(admin.SimpleListFilter):
    """Who said the words that are searched for; without any, who said the last word."""

    title = "words or last message by"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in Message.Role.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        if not self.value() or request.GET.get("q"):
            return queryset
        last = Message.objects.filter(conversation=OuterRef("pk")).order_by("-pk").values("role")[:1]
        return queryset.alias(last_role=Subquery(last)).filter(last_role=self.value())


@admin.register(Conversation)
class ConversationAdmin(BaseAdmin):
    list_display = ["shown_id", "owner", "latest", "messages", "created", "updated"]
    list_filter = [UserFilter, RoleFilter, by_days("updated_at"), by_days("created_at")]
    search_fields = ["pk"]
    search_help_text = 'Words, "a phrase", begin*, an id, or user:ID'
    ordering = ["-id"]
    sortable_by = ["updated"]
    fields = [("owner", "created", "updated")]
    readonly_fields = ["owner", "created", "updated"]
    change_form_outer_after_template = "admin/transcript.html"
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
        said = Message.objects.filter(conversation=OuterRef("pk"))
        counted = ArraySubquery(said.order_by().values("pk")[: MESSAGES_COUNTED + 1])
        conversations: QuerySet[Conversation] = super().get_queryset(request)
        return conversations.annotate(
            message_count=Func(counted, function="CARDINALITY", output_field=IntegerField())
        ).annotate(latest_text=Subquery(said.order_by("-pk").values(text=Left("content", PREVIEW))[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        given = list(smart_split(search_term))[:WORDS_MAX]
        words = [word for word in given if not word.startswith("user:") or word == "user:"]
        for word in set(given) - set(words):
            queryset = queryset.filter(self.matching(word))
        if not words:
            return queryset, False
        narrowed = len(words) < len(given) or any(request.GET.get(name) for name in FILTERS)
        query = words_query(words)
        found, more = find_messages(query, queryset if narrowed else None, request.GET.get("role"))
        request.found_messages = query, found  # type: ignore[attr-defined]
        if more:
            told = "These words are frequent: only the latest conversations with them are here. Add words or a filter."
            self.message_user(request, told, messages.INFO)
        number = positive(words[0]) if len(words) == 1 else None
        return queryset.filter(Q(pk__in=found) | Q(pk=number or 0)), False

    def loaded(self, request: HttpRequest, rows: list[Any]) -> None:
        """Show in each row of a search what was found, in place of the last message."""
        search: tuple[SearchQuery, dict[int, int]] | None = getattr(request, "found_messages", None)
        at = {row.pk: search[1][row.pk] for row in rows if search and row.pk in search[1]}
        texts = headlines(search[0], at.values()) if search and at else {}
        for row in rows:
            row.found_at, row.found_text = at.get(row.pk), texts.get(at.get(row.pk, 0))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if conversation := kwargs.get("obj"):
            asked = Asked(**{name: positive(request.GET.get(name)) for name in ("before", "after", "at", "only")})
            context["page"] = message_page(conversation.pk, asked)
            if may_view("tasks.task")(request):
                tasks = conversation.tasks.order_by("pk").values("pk", "title", "message_id", "completed", "deleted_at")
                context["tasks"] = list(tasks[:TASKS_MAX])
                _attach(context["page"].messages, context["tasks"])
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="conversation")
    def shown_id(self, conversation: Conversation) -> str:
        return str(conversation)

    @admin.display(description="what was said")
    def latest(self, conversation: Any) -> SafeString:
        if conversation.found_text is None:
            return isolated(conversation.latest_text or "—")
        url = reverse("admin:conversations_conversation_change", args=[conversation.pk])
        at = conversation.found_at
        return format_html('<a href="{}?at={}#message-{}">{}</a>', url, at, at, conversation.found_text)

    @admin.display(description="messages")
    def messages(self, conversation: Any) -> str:
        count = conversation.message_count
        return f"{MESSAGES_COUNTED}+" if count > MESSAGES_COUNTED else str(count)

    created = time_column("created_at", "created")
    updated = time_column("updated_at", "updated", sortable=True)


def _attach(shown: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> None:
    """To each message the tasks that were made from it."""
    for message in shown:
        message["tasks"] = [task for task in tasks if task["message_id"] == message["pk"]]
