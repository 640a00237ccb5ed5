"""Conversations in the admin: operators search, read and delete them, and see the tasks made from them."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject, Left
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split

from conversations import services
from conversations.filters import DAYS, ConversationDays, RoleFilter, days_of_messages, searched_words
from conversations.models import Conversation, Message
from conversations.operators.items import shown_json
from conversations.operators.titles import find_titles, in_words, named
from conversations.search import excerpts, find_messages, search_words, words_query
from conversations.transcript import PageRequest, add_hits, add_tasks, message_page, tasks_of
from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import WORDS_MAX, BaseAdmin, ReadOnly, isolated, moment, time_column, user_link
from todo_mcp.admin_kit.filters import UserFilter
from todo_mcp.admin_kit.parameters import positive
from todo_mcp.admin_kit.site import may_view

MESSAGE_COUNT_MAX = 100  # messages of a conversation that the list counts
PREVIEW = 100  # characters of the last message in the list
# The fields of the page, each with the column without which it is left out.
FIELDS = {"shown_title": "title", "about": "id", "shown_ref": "ref", "shown_metadata": "metadata"}


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, BaseAdmin):
    list_display = ["shown_id", "owner", "latest", "messages", "updated"]
    list_filter = [UserFilter, RoleFilter, *((field, ConversationDays) for field in DAYS)]
    search_fields = ["pk"]
    search_help_text = 'Words, "a phrase", begin*, an id, user:ID, or user:ID with a ref'
    ordering = ["-id"]
    sortable_by = ["updated"]
    readonly_fields = list(FIELDS)
    list_before_template = "admin/conversation_search.html"
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        rows = Message.objects.filter(conversation=OuterRef("pk"))
        last = JSONObject(role="role", text=Left("content", PREVIEW))
        ids = ArraySubquery(rows.order_by().values("pk")[: MESSAGE_COUNT_MAX + 1])
        conversations: QuerySet[Conversation] = super().get_queryset(request)
        return conversations.annotate(
            message_count=Func(ids, function="CARDINALITY", output_field=IntegerField())
        ).annotate(last_message=Subquery(rows.order_by("-pk").values(data=last)[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        queryset = queryset.defer("metadata")
        terms, words = list(smart_split(search_term))[:WORDS_MAX], search_words(search_term)
        for term in set(terms) - set(words):
            queryset = queryset.filter(self.matching(term))
        if not words:
            return queryset, False
        is_filtered = len(words) < len(terms) or bool(request.GET.get(UserFilter.parameter_name))
        conversations, days = queryset if is_filtered else None, days_of_messages(request)
        role = request.GET.get(RoleFilter.parameter_name, "")
        matches, has_more = find_messages(words_query(words), conversations=conversations, role=role, days=days)
        titles, has_more_titles = ([], False) if role else find_titles(words, conversations=conversations, days=days)
        latest, by_title = dict(reversed(matches)), {hit.pk: hit.title for hit in titles}  # by conversation
        request.search_hits = latest, by_title  # type: ignore[attr-defined] # prepare_rows shows them
        if has_more or has_more_titles:
            text = "These words are frequent: only the latest conversations with them are shown. Add words or a filter."
            self.message_user(request, text, messages.INFO)
        return queryset.filter(Q(pk__in={*latest, *by_title}) | named(words, of_one_user=is_filtered)), False

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """In a search, add the matching message to each row, which the list shows instead of the last one; and its
        title, with the words marked."""
        matches, titles = getattr(request, "search_hits", ({}, {}))
        message_ids = {row.pk: matches[row.pk] for row in rows if row.pk in matches}
        found = excerpts(searched_words(request), message_ids.values()) if message_ids else {}
        for row in rows:
            row.found = found.get(message_ids.get(row.pk, 0))
            row.found_title = titles.get(row.pk)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """What the conversation has. Many have no title, ref or metadata."""
        return [name for name, column in FIELDS.items() if getattr(obj, column, None) is not None]

    def describe(self, row: Conversation) -> str:
        return in_words(row)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if conversation := kwargs.get("obj"):
            place = {name: positive(request.GET.get(name)) for name in ("before", "after", "at", "only")}
            page = message_page(conversation.pk, PageRequest(**place))
            if may_view("tasks.task")(request):
                page = add_tasks(conversation, page)
                context["tasks"], context["tasks_are_cut"] = tasks_of(conversation)
            if words := searched_words(request):
                context["words"] = " ".join(words)
                context["hits"] = add_hits(conversation, page, words)
            context["page"] = page
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="conversation")
    def shown_id(self, conversation: Any) -> SafeString | str:
        """The title, if it has one, and the number."""
        if not conversation.title:
            return str(conversation)
        title = conversation.found_title or isolated(conversation.title)
        return format_html("{}<small>{}</small>", title, conversation)

    @admin.display(description="title")
    def shown_title(self, conversation: Conversation) -> SafeString:
        return format_html("<strong>{}</strong>", isolated(conversation.title))

    @admin.display(description="ref")
    def shown_ref(self, conversation: Conversation) -> SafeString:
        return format_html('<code class="todo-ref">{}</code>', conversation.ref)

    @admin.display(description="metadata")
    def shown_metadata(self, conversation: Conversation) -> SafeString:
        text = str(conversation.metadata)
        json = shown_json(text, size=len(text.encode()))
        return render_to_string("admin/folded_json.html", {"label": "JSON", "json": json})

    @admin.display(description="message")
    def latest(self, conversation: Any) -> SafeString:
        """The message that a search found, or the last one: who wrote it, when, and its text."""
        if found := conversation.found:
            who = format_html("{} · {} UTC", found.role, moment(found.created_at))
            text = format_html('<a class="text-link" href="{}">{}</a>', found.url, found.text)
        elif last := conversation.last_message:
            who, text = last["role"], isolated(last["text"])
        else:
            return isolated("—")
        return format_html('<div class="todo-said"><small>{}</small>{}</div>', who, text)

    @admin.display(description="messages")
    def messages(self, conversation: Any) -> str:
        count = conversation.message_count
        return f"{MESSAGE_COUNT_MAX}+" if count > MESSAGE_COUNT_MAX else str(count)

    @admin.display(description="conversation")
    def about(self, conversation: Conversation) -> SafeString:
        """Whose it is, how long it is and when it was held, in one line that fits a telephone too."""
        return format_html(
            '<span class="todo-about"><span>with {}</span> <span>{} message{}</span> <span>started {} UTC</span> '
            "<span>last activity {} UTC</span></span>",
            user_link(conversation.user_id),
            f"{conversation.stored_messages:,}",
            "" if conversation.stored_messages == 1 else "s",
            moment(conversation.created_at),
            moment(conversation.updated_at),
        )

    updated = time_column("updated_at", "last activity", sortable=True)
