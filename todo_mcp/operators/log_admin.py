"""The operators' log in the admin: one list of what all operators did. It is only read."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from todo_mcp.admin_kit.base import BaseAdmin, ReadOnly, isolated, time_column, user_link
from todo_mcp.admin_kit.filters import UserFilter, by_days
from todo_mcp.operators.log import add_links, counts, did, entries, whom
from todo_mcp.operators.password_link import DONE
from todo_mcp.users.models import User

LogEntry._meta.verbose_name, LogEntry._meta.verbose_name_plural = "operators' log entry", "operators' log entries"


class OperatorFilter(UserFilter):
    """By the operator who did it."""

    title = "operator"
    parameter_name = "operator"


class SubjectFilter(UserFilter):
    """By the user whom the entry is about."""

    title = "to whom (user id)"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(subject__user_id=self.value()) if self.value() else queryset


_ACTIONS = {
    "issued": ("Issued a token", Q(action_flag=ADDITION, content_type__model="accesstoken")),
    "revoked": (
        "Revoked or disconnected",
        Q(change_message__startswith="Revoked") | Q(change_message__startswith="Disconnected"),
    ),
    "exported": ("Exported", Q(change_message="Exported")),
    "erased": ("Erased", Q(change_message__startswith='{"Erased"') | Q(change_message="Erased")),
    "added": ("Added", Q(action_flag=ADDITION) & ~Q(content_type__model="accesstoken")),
    "edited": ("Edited", Q(change_message__startswith='[{"changed"')),
    "completed": ("Completed", Q(change_message="Completed")),
    "reopened": ("Reopened", Q(change_message="Reopened")),
    "deleted": ("Deleted", Q(change_message="Deleted") | Q(action_flag=DELETION)),
    "restored": ("Restored", Q(change_message="Restored")),
    "reverted": ("Reverted", Q(change_message="Reverted")),
    "undone": ("Undone", Q(change_message__startswith='{"Undone"')),
    "linked": ("Made a password link", Q(change_message=DONE)),
    "activated": ("Activated or deactivated", Q(change_message__in=["Activated", "Deactivated"])),
}


class ActionFilter(admin.SimpleListFilter):
    title = "action"
    parameter_name = "did"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in _ACTIONS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        _, condition = _ACTIONS.get(self.value() or "", ("", Q()))
        return queryset.filter(condition)


@admin.register(LogEntry)
class LogAdmin(ReadOnly, BaseAdmin):
    list_display = ["when", "operator", "what", "whom"]
    list_filter = [OperatorFilter, SubjectFilter, ActionFilter, by_days("action_time")]
    search_fields = ["user_id", "subject__user_id"]
    search_help_text = "A user id: of the operator, or of the user"
    search_user = "subject__user_id"
    ordering = ["-id"]
    sortable_by = ()
    fields = ("when", "operator", "what", "whom")
    readonly_fields = fields
    change_form_outer_after_template = "admin/receipt.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Operators may always read what they did themselves, such as the receipt of an erasure."""
        is_own = obj is not None and obj.user_id == request.user.pk
        return is_own or super().has_view_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogEntry]:
        return entries()

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        add_links(request, rows)
        ids = {user_id for row in rows for user_id in (row.user_id, whom(row))}
        there = set(User.objects.filter(pk__in=ids).values_list("pk", flat=True))
        may_see = request.user.has_perm("users.view_user")
        for row in rows:
            row.linked = there if may_see else set()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if entry := super().get_object(request, object_id, from_field):
            self.prepare_rows(request, [entry])
        return entry

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        context["receipt"], context["done"] = counts(kwargs["obj"]), did(kwargs["obj"])
        return super().render_change_form(request, context, *args, **kwargs)

    def _person(self, entry: Any, user_id: str) -> SafeString:
        return user_link(user_id) if user_id in entry.linked else isolated(user_id)

    @admin.display(description="operator")
    def operator(self, entry: Any) -> SafeString:
        return self._person(entry, entry.user_id)

    @admin.display(description="what")
    def what(self, entry: Any) -> SafeString:
        name = isolated(entry.object_repr)
        link = format_html('<a class="text-link" href="{}">{}</a>', entry.link, name) if entry.link else name
        return format_html("{} {}", isolated(did(entry)), link)

    @admin.display(description="to whom")
    def whom(self, entry: Any) -> SafeString | str:
        return self._person(entry, whom(entry)) if whom(entry) else "—"

    when = time_column("action_time", "when")
