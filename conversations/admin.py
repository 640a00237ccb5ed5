"""Conversations in the admin: operators search, read and delete them, and see the tasks made from them."""

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
from conversations.transcript import TASKS_MAX, PageRequest, message_page
from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import WORDS_MAX, BaseAdmin, isolated, positive, time_column
from todo_mcp.admin_kit.filters import UserFilter, by_days
from todo_mcp.admin_kit.site import may_view

MESSAGE_COUNT_MAX = 100  # messages of a conversation that the list counts
PREVIEW = 100  # characters of the last message in the list
FILTERS = ("user", "created_at_from", "created_at_to", "updated_at_from", "updated_at_to")


class RoleFilter(admin.SimpleListFilter):
    """The author of the message that a search finds. Without a search, the author of the last message."""

    title = "said by"
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
            confirm="All messages are deleted at once too. This cannot be undone.",
            removes=True,
            perform=lambda row: services.delete_conversation(user_id=row.user_id, conversation_id=row.pk),
        )
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # nobody edits a conversation

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        rows = Message.objects.filter(conversation=OuterRef("pk"))
        ids = ArraySubquery(rows.order_by().values("pk")[: MESSAGE_COUNT_MAX + 1])
        conversations: QuerySet[Conversation] = super().get_queryset(request)
        return conversations.annotate(
            message_count=Func(ids, function="CARDINALITY", output_field=IntegerField())
        ).annotate(latest_text=Subquery(rows.order_by("-pk").values(text=Left("content", PREVIEW))[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        terms = list(smart_split(search_term))[:WORDS_MAX]
        words = [word for word in terms if not word.startswith("user:") or word == "user:"]
        for word in set(terms) - set(words):
            queryset = queryset.filter(self.matching(word))
        if not words:
            return queryset, False
        is_filtered = len(words) < len(terms) or any(request.GET.get(name) for name in FILTERS)
        query = words_query(words)
        matches, may_have_more = find_messages(query, queryset if is_filtered else None, request.GET.get("role"))
        request.search_matches = query, matches  # type: ignore[attr-defined]
        if may_have_more:
            text = "These words are frequent: only the latest conversations with them are shown. Add words or a filter."
            self.message_user(request, text, messages.INFO)
        number = positive(words[0]) if len(words) == 1 else None
        return queryset.filter(Q(pk__in=matches) | Q(pk=number or 0)), False

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """In a search, add the matching text to each row. The list shows it instead of the last message."""
        search: tuple[SearchQuery, dict[int, int]] | None = getattr(request, "search_matches", None)
        message_ids = {row.pk: search[1][row.pk] for row in rows if search and row.pk in search[1]}
        texts = headlines(search[0], message_ids.values()) if search and message_ids else {}
        for row in rows:
            row.match_id, row.match_text = message_ids.get(row.pk), texts.get(message_ids.get(row.pk, 0))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if conversation := kwargs.get("obj"):
            place = {name: positive(request.GET.get(name)) for name in ("before", "after", "at", "only")}
            context["page"] = message_page(conversation.pk, PageRequest(**place))
            if may_view("tasks.task")(request):
                tasks = conversation.tasks.order_by("pk").values("pk", "title", "message_id", "completed", "deleted_at")
                context["tasks"] = list(tasks[:TASKS_MAX])
                _attach(context["page"].messages, context["tasks"])
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="conversation")
    def shown_id(self, conversation: Conversation) -> str:
        return str(conversation)

    @admin.display(description="message text")
    def latest(self, conversation: Any) -> SafeString:
        if conversation.match_text is None:
            return isolated(conversation.latest_text or "—")
        url = reverse("admin:conversations_conversation_change", args=[conversation.pk])
        at = conversation.match_id
        return format_html('<a href="{}?at={}#message-{}">{}</a>', url, at, at, conversation.match_text)

    @admin.display(description="messages")
    def messages(self, conversation: Any) -> str:
        count = conversation.message_count
        return f"{MESSAGE_COUNT_MAX}+" if count > MESSAGE_COUNT_MAX else str(count)

    created = time_column("created_at", "created")
    updated = time_column("updated_at", "updated", sortable=True)


def _attach(transcript: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> None:
    """Add to each message the tasks that were made from it."""
    for message in transcript:
        message["tasks"] = [task for task in tasks if task["message_id"] == message["pk"]]
