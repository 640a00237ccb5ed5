"""Tasks in the admin. Operators find, edit, complete, delete and restore tasks, and revert them to older versions."""

from typing import Any

from django.contrib import admin
from django.db.models import DateTimeField, QuerySet
from django.db.models.functions import Cast, Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from tasks import services
from tasks.clock import clock_in, due_in, zone_of
from tasks.history import HISTORY_MAX, history
from tasks.models import PRIORITIES, Task, TaskEvent
from tasks.operators.activity_admin import ActivityAdmin
from tasks.operators.activity_form import activity_url
from tasks.operators.filters import DueFilter, PriorityFilter, TagFilter, narrowed
from tasks.operators.form import TaskForm
from tasks.operators.reverting import RevertingAdmin
from tasks.operators.words import due_in_words, item_in_words, status_in_words
from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import EMPTY, badge_column, isolated, time_column
from todo_mcp.admin_kit.filters import UserFilter, by_days
from todo_mcp.admin_kit.site import may_view
from todo_mcp.dates.zones import show

admin.site.register(TaskEvent, ActivityAdmin)


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("living", "Not deleted"), ("pending", "Pending"), ("completed", "Completed"), ("deleted", "Deleted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        conditions: dict[str | None, dict[str, Any]] = {
            "living": {"deleted_at": None},
            "pending": {"deleted_at": None, "completed": False},
            "completed": {"deleted_at": None, "completed": True},
            "deleted": {"deleted_at__isnull": False},
        }
        return queryset.filter(**conditions.get(self.value(), {}))


def _of(task: Task) -> dict[str, Any]:
    """The arguments of a service that name a task. Days are read in the zone of its owner."""
    return {"user_id": task.user_id, "own_zone": task.user.time_zone, "task_id": task.pk}


@admin.register(Task)
class TaskAdmin(RevertingAdmin):
    form = TaskForm
    list_display = ["shown_title", "owner", "status", "due", "shown_priority", "shown_tags", "created"]
    list_filter = [
        StatusFilter,
        DueFilter,
        PriorityFilter,
        TagFilter,
        UserFilter,
        by_days("created_at"),
        by_days("completed_at"),
    ]
    search_fields = ["title__icontains"]
    search_help_text = "Words of a title, an id, or user:ID"
    ordering = ["-id"]
    sortable_by = ()
    fields = [
        "title",
        "description",
        ("due", "priority"),
        ("repeat", "tags"),
        "shown_checklist",
        ("owner", "status", "origin"),
        ("created", "updated"),
        ("completed_on", "deleted"),
    ]
    readonly_fields = ["shown_checklist", "owner", "status", "origin", "created", "updated", "completed_on", "deleted"]
    change_form_outer_after_template = "admin/task_history.html"
    history_anchor = "#history-title"
    row_actions = [
        RowAction(
            name="complete_task",
            label="Complete",
            done="Completed",
            perform=lambda task: services.complete_task(**_of(task)),
            applies=lambda task: not task.completed and not task.deleted_at,
            unless="deleted or already completed",
        ),
        RowAction(
            name="reopen_task",
            label="Reopen",
            done="Reopened",
            perform=lambda task: services.update_task(**_of(task), reopen=True),
            applies=lambda task: task.completed and not task.deleted_at,
            unless="deleted or not completed",
        ),
        RowAction(
            name="restore_task",
            label="Restore",
            done="Restored",
            perform=lambda task: services.update_task(**_of(task), restore=True),
            applies=lambda task: bool(task.deleted_at),
            unless="not deleted",
        ),
        RowAction(
            name="delete_task",
            label="Delete",
            done="Deleted",
            permission="delete",
            confirm="Users no longer see deleted tasks. You can restore a task for 30 days; then it is removed.",
            perform=lambda task: services.delete_task(**_of(task)),
            applies=lambda task: not task.deleted_at,
            unless="already deleted",
        ),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # only users add tasks

    def has_change_permission(self, request: HttpRequest, obj: Task | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.deleted_at)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        field.show_hidden_initial = True  # so that a change is detected against the value that the operator saw
        field.widget.attrs |= {"dir": "auto"} | ({"rows": 4} if db_field.name == "description" else {})
        return field

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        if form.arguments:
            with self.recorded(request, "edit"):
                services.update_task(**_of(obj), **form.arguments, expected_version=form.seen_version)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        tasks: QuerySet[Task] = super().get_queryset(request)
        return tasks.select_related("user")  # for the time zone

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        return narrowed(found, request.GET), may_have_duplicates

    def get_ordering(self, request: HttpRequest) -> Any:
        """A list by due date shows first what is due first."""
        if request.GET.get(DueFilter.parameter_name):
            return [Coalesce("due_at", Cast("due_on", DateTimeField())), "-pk"]
        return super().get_ordering(request)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if task := kwargs.get("obj"):
            task.shows_title = may_view("conversations.conversation")(request)
            context["may_revert"] = self.has_change_permission(request, task)
            context["may_undo"] = request.user.has_perm("tasks.change_task")
            context["row_links"] = [("Activity", activity_url(task=task.pk))]
            zone = zone_of(task.user.time_zone)
            context["history"], context["history_is_cut"] = history(user_id=task.user_id, task_id=task.pk, zone=zone)
            context["history_max"] = HISTORY_MAX
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="title")
    def shown_title(self, task: Task) -> SafeString:
        done = sum(item["done"] for item in task.checklist)
        more = [f"{done}/{len(task.checklist)}"] if task.checklist else []
        more += ["repeats"] if task.repeat else []
        return format_html(
            "{}{}", isolated(task.title), format_html_join("", " <small>{}</small>", ((m,) for m in more))
        )

    @admin.display(description="due")
    def due(self, task: Task) -> SafeString | str:
        """The day, or the time with its zone; and whether that is past."""
        zone = zone_of(task.user.time_zone)
        due = due_in(task.due_on, task.due_at, zone)
        if due is None:
            return EMPTY
        is_over = not (task.completed or task.deleted_at) and clock_in(zone).is_past(due)
        text = f"{due:%Y-%m-%d %H:%M}" if task.due_at else f"{due:%Y-%m-%d}"
        return format_html(
            '<time datetime="{}" title="{}">{}</time>{}{}',
            show(due),
            due_in_words(task.due_on, task.due_at, zone),
            text,
            format_html(" <small>{}</small>", zone) if task.due_at else "",
            format_html(' <span class="todo-fails">{}</span>', "overdue") if is_over else "",
        )

    @admin.display(description="priority")
    def shown_priority(self, task: Task) -> str:
        return PRIORITIES[task.priority] if task.priority else EMPTY

    @admin.display(description="tags")
    def shown_tags(self, task: Task) -> SafeString | str:
        tags = format_html_join(" ", '<bdi class="todo-tag" title="{}">{}</bdi>', ((tag, tag) for tag in task.tags))
        return tags or EMPTY

    @admin.display(description="checklist")
    def shown_checklist(self, task: Task) -> SafeString | str:
        items = format_html_join("", "<li><bdi>{}</bdi></li>", ((item_in_words(item),) for item in task.checklist))
        return format_html('<ul class="todo-checklist">{}</ul>', items) if items else EMPTY

    @badge_column("status", {"pending": "info", "completed": "success", "deleted": "danger"})
    def status(self, task: Task) -> str:
        return status_in_words(task)

    @admin.display(description="origin")
    def origin(self, task: Any) -> SafeString | str:
        if task.conversation_id is None:
            return EMPTY
        url = reverse("admin:conversations_conversation_change", args=[task.conversation_id])
        title = task.conversation.title if task.shows_title else None
        note = format_html(": {}", isolated(title)) if title else ""
        if task.message_id is None:
            return format_html('<a class="text-link" href="{}">Conversation {}{}</a>', url, task.conversation_id, note)
        at = format_html("{}?at={}#message-{}", url, task.message_id, task.message_id)
        name = "A message of conversation"
        return format_html('<a class="text-link" href="{}">{} {}{}</a>', at, name, task.conversation_id, note)

    created = time_column("created_at", "created")
    updated = time_column("updated_at", "updated")
    completed_on = time_column("completed_at", "completed")
    deleted = time_column("deleted_at", "deleted")
