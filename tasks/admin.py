"""Tasks for operators: find one, see its whole history, correct its words, complete, delete and restore it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from tasks import services
from tasks.models import Task, TaskEvent
from todo_mcp.admin_actions import RowAction
from todo_mcp.admin_base import BaseAdmin, UserFilter, badge_column, isolated, time_column
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import REGISTRY

HISTORY_MAX = 100  # events that a task's page shows, the latest


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("living", "Living"), ("pending", "Pending"), ("completed", "Completed"), ("deleted", "Deleted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        conditions: dict[str | None, dict[str, Any]] = {
            "living": {"deleted_at": None},
            "pending": {"deleted_at": None, "completed": False},
            "completed": {"deleted_at": None, "completed": True},
            "deleted": {"deleted_at__isnull": False},
        }
        return queryset.filter(**conditions.get(self.value(), {}))


class TaskForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker only
    """Title and description, held to the rules of ``update_task``.

    A field that the operator leaves alone is not sent, so what a client changed meanwhile stays.
    """

    class Meta:
        model = Task
        fields = ["title", "description"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        changes = {name: data[name].replace("\r\n", "\n") for name in self.changed_data if name in data}
        try:
            checked = REGISTRY["update_task"].validate({"task_id": self.instance.pk, **changes}) if changes else {}
        except InvalidArguments as error:
            for name, reason in error.details["fields"].items():
                self.add_error(name, f"This {reason}.")
        else:
            data.update({name: checked[name] for name in changes})
        return data


@dataclass(frozen=True)
class Change:
    """One line of a task's history: what happened, and the field's words before and after, where it has any."""

    what: str
    before: str | None = None
    after: str | None = None


def changes(older: dict[str, Any] | None, newer: dict[str, Any]) -> Iterator[Change]:
    """What the newer of two events of a task changed; without an older one the words that it began with."""
    if newer["pgh_label"] != "update" or older is None:
        yield Change({"insert": "Added", "delete": "Removed for good"}.get(newer["pgh_label"], "Changed"))
        return
    if older["deleted_at"] != newer["deleted_at"]:
        yield Change("Deleted" if newer["deleted_at"] else "Restored")
    if older["completed"] != newer["completed"]:
        yield Change("Completed" if newer["completed"] else "Opened again")
    for field in ("title", "description", "user_id"):
        if older[field] != newer[field]:
            yield Change(field.removesuffix("_id").capitalize(), older[field], newer[field])


def history(task_id: int) -> tuple[list[dict[str, Any]], bool]:
    """The latest events of a task, newest first, and whether there are older ones; one query."""
    words = ("title", "description", "completed", "deleted_at", "user_id")
    rows = list(
        TaskEvent.objects.filter(pgh_obj_id=task_id)
        .order_by("-pgh_id")
        .values("pgh_created_at", "pgh_label", "pgh_context", *words)[: HISTORY_MAX + 1]
    )
    shown = [
        {"at": newer["pgh_created_at"], "by": newer["pgh_context"] or {}, "changes": list(changes(older, newer))}
        for newer, older in pairwise([*rows, None])
    ]
    return shown[:HISTORY_MAX], len(rows) > HISTORY_MAX


@admin.register(Task)
class TaskAdmin(BaseAdmin):
    form = TaskForm
    list_display = ["shown_title", "owner", "status", "created", "updated"]
    list_filter = [StatusFilter, UserFilter, "created_at"]
    search_fields = ["title__icontains"]
    search_help_text = "Words of a title, an id, or user:ID"
    ordering = ["-id"]
    sortable_by = ()
    fields = ["title", "description", ("owner", "status"), ("created", "updated"), ("completed_on", "deleted")]
    readonly_fields = ["owner", "status", "created", "updated", "completed_on", "deleted"]
    change_form_outer_after_template = "admin/task_history.html"
    row_actions = [
        RowAction(
            name="complete_task",
            label="Complete",
            done="Completed",
            perform=lambda task: services.complete_task(user_id=task.user_id, task_id=task.pk),
            applies=lambda task: not task.completed and not task.deleted_at,
        ),
        RowAction(
            name="restore_task",
            label="Restore",
            done="Restored",
            perform=lambda task: services.restore_task(user_id=task.user_id, task_id=task.pk),
            applies=lambda task: bool(task.deleted_at),
        ),
        RowAction(
            name="delete_task",
            label="Delete",
            done="Deleted",
            permission="delete",
            confirm="Users no longer see what is deleted. It can be restored for 30 days, then it is removed for good.",
            perform=lambda task: services.delete_task(user_id=task.user_id, task_id=task.pk),
            applies=lambda task: not task.deleted_at,
        ),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # tasks are added by their users

    def has_change_permission(self, request: HttpRequest, obj: Task | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.deleted_at)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        field.show_hidden_initial = True  # a change is one against what the operator saw
        field.widget.attrs |= {"dir": "auto"} | ({"rows": 4} if db_field.name == "description" else {})
        return field

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        if changed := {name: form.cleaned_data[name] for name in form.changed_data}:
            with self.recorded(request, "edit"):
                services.update_task(user_id=obj.user_id, task_id=obj.pk, **changed)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if task := kwargs.get("obj"):
            context["history"], context["history_is_cut"] = history(task.pk)
            context["history_max"] = HISTORY_MAX
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="title")
    def shown_title(self, task: Task) -> SafeString:
        return isolated(task.title)

    @badge_column("status", {"pending": "info", "completed": "success", "deleted": "danger"})
    def status(self, task: Task) -> str:
        return "deleted" if task.deleted_at else "completed" if task.completed else "pending"

    created = time_column("created_at", "created")
    updated = time_column("updated_at", "updated")
    completed_on = time_column("completed_at", "completed")
    deleted = time_column("deleted_at", "deleted")
