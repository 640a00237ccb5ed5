"""Tasks in the admin. Operators find, edit, complete, delete and restore tasks, and revert them to older versions."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from tasks import services
from tasks.history import HISTORY_MAX, differences, history, revert_task, version
from tasks.models import Task
from todo_mcp.admin_kit.actions import RowAction
from todo_mcp.admin_kit.base import BaseAdmin, badge_column, isolated, positive, time_column
from todo_mcp.admin_kit.filters import UserFilter, by_days
from todo_mcp.core.errors import InvalidArguments, TaskNotFound
from todo_mcp.core.operations import REGISTRY


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


class TaskForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker only
    """Title and description, validated by the rules of ``update_task``.

    Only fields that the operator edits are sent, so a client's change to another field meanwhile is not lost.
    """

    class Meta:
        model = Task
        fields = ["title", "description"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        changes = {name: data[name] for name in self.changed_data if name in data}
        emptied = [name for name, text in changes.items() if not text]
        sent = {"task_id": self.instance.pk, **changes, "clear": emptied}
        try:
            arguments = REGISTRY["update_task"].validate(sent) if changes else {}
        except InvalidArguments as error:
            for name, reason in error.details["fields"].items():
                self.add_error(name, f"This {reason}.")
        else:
            data.update({name: arguments.get(name, "") for name in changes})
        return data


@admin.register(Task)
class TaskAdmin(BaseAdmin):
    form = TaskForm
    list_display = ["shown_title", "owner", "status", "created", "updated"]
    list_filter = [StatusFilter, UserFilter, by_days("created_at")]
    search_fields = ["title__icontains"]
    search_help_text = "Words of a title, an id, or user:ID"
    ordering = ["-id"]
    sortable_by = ()
    fields = [
        "title",
        "description",
        ("owner", "status", "origin"),
        ("created", "updated"),
        ("completed_on", "deleted"),
    ]
    readonly_fields = ["owner", "status", "origin", "created", "updated", "completed_on", "deleted"]
    change_form_outer_after_template = "admin/task_history.html"
    history_anchor = "#history-title"
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
            confirm="Users no longer see deleted tasks. You can restore a task for 30 days; then it is removed.",
            perform=lambda task: services.delete_task(user_id=task.user_id, task_id=task.pk),
            applies=lambda task: not task.deleted_at,
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
        if changes := {name: form.cleaned_data[name] for name in form.changed_data}:
            with self.recorded(request, "edit"):
                services.update_task(user_id=obj.user_id, task_id=obj.pk, **changes)

    def get_urls(self) -> list[URLPattern]:
        revert = self.admin_site.admin_view(require_POST(self.revert_view))
        return [path("<path:object_id>/revert/", revert, name="tasks_task_revert"), *super().get_urls()]

    def revert_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for confirmation, and then revert the task to one of its versions."""
        task = self.get_object(request, unquote(object_id))
        if task is None or not self.has_change_permission(request, task):
            raise PermissionDenied
        version_id = positive(request.POST.get("version")) or 0
        try:
            if "confirmed" not in request.POST:
                target = version(user_id=task.user_id, task_id=task.pk, version_id=version_id)
                return self._ask_to_revert(request, task, target)
            with self.recorded(request, "revert_task"):
                revert_task(user_id=task.user_id, task_id=task.pk, version_id=version_id)
        except TaskNotFound as error:  # an outdated page, or a version that no page offers
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(self._url("changelist"))
        self._log(request, [task], CHANGE, "Reverted")
        self.message_user(request, f"Reverted task {task.pk}.", messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", str(task.pk)))

    def _ask_to_revert(self, request: HttpRequest, task: Task, target: dict[str, Any]) -> HttpResponse:
        names = [name for name in target if hasattr(task, name)]
        current = {name: getattr(task, name) for name in names} | {"deleted_at": target["deleted_at"]}
        return self.ask(
            request,
            label="Revert",
            question=f"Revert task {task.pk} to its version of {target['pgh_created_at']:%Y-%m-%d %H:%M:%S} UTC?",
            explanation="The title, description and status return to that version. The history gets a new version.",
            changes=list(differences(current, target)),
            fields=[("version", target["pgh_id"])],
            back=self._url("change", str(task.pk)),
        )

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if task := kwargs.get("obj"):
            context["may_revert"] = self.has_change_permission(request, task)
            context["history"], context["history_is_cut"] = history(task.pk)
            context["history_max"] = HISTORY_MAX
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="title")
    def shown_title(self, task: Task) -> SafeString:
        return isolated(task.title)

    @badge_column("status", {"pending": "info", "completed": "success", "deleted": "danger"})
    def status(self, task: Task) -> str:
        return "deleted" if task.deleted_at else "completed" if task.completed else "pending"

    @admin.display(description="origin")
    def origin(self, task: Task) -> SafeString | str:
        if task.conversation_id is None:
            return "—"
        url = reverse("admin:conversations_conversation_change", args=[task.conversation_id])
        if task.message_id is None:
            return format_html('<a class="text-link" href="{}">Conversation {}</a>', url, task.conversation_id)
        at = format_html("{}?at={}#message-{}", url, task.message_id, task.message_id)
        return format_html('<a class="text-link" href="{}">A message of conversation {}</a>', at, task.conversation_id)

    created = time_column("created_at", "created")
    updated = time_column("updated_at", "updated")
    completed_on = time_column("completed_at", "completed")
    deleted = time_column("deleted_at", "deleted")
