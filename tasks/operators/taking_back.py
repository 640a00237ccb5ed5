"""The pages that take changes back: revert a task to one of its versions, or undo a whole call.

Each asks by GET and shows the task as it is at that moment. The POST goes on only if the task is still the same.
"""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from tasks.clock import zone_of
from tasks.history import differences, revert_task, version
from tasks.models import Task
from tasks.operators.undo import Preview, preview_undo, refusal, undo_event
from todo_mcp.admin_kit.base import BaseAdmin
from todo_mcp.admin_kit.parameters import positive
from todo_mcp.core.errors import TaskNotFound, VersionConflict


class TakingBackAdmin(BaseAdmin):
    """An admin page of tasks with the pages ``revert`` and ``undo`` for each task."""

    def get_urls(self) -> list[URLPattern]:
        views = {"revert": self.revert_view, "undo": self.undo_view}
        return [
            *(
                path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"tasks_task_{name}")
                for name, view in views.items()
            ),
            *super().get_urls(),
        ]

    def may_undo(self, request: HttpRequest) -> bool:
        """Whether the operator may undo calls. A deleted task cannot be edited, but its deletion can be undone."""
        return super().has_change_permission(request)

    def revert_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to set the task to the version that the address names. A POST does it."""
        task = self.get_object(request, unquote(object_id))
        if task is None or not self.has_change_permission(request, task):
            raise PermissionDenied
        version_id = positive(request.GET.get("version")) or 0
        try:
            if request.method != "POST":
                return self._ask_to_revert(request, task, version_id)
            seen = positive(request.POST.get("seen")) or 0
            with self.recorded(request, "revert_task"):
                revert_task(user_id=task.user_id, task_id=task.pk, version_id=version_id, expected_version=seen)
        except TaskNotFound as error:  # an outdated page, or a version that no page offers
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(self._url("changelist"))
        except VersionConflict:
            changed = "Nothing was done: the task has changed since this page was shown. This is how it is now."
            self.message_user(request, changed, messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        self._log(request, [task], CHANGE, "Reverted")
        self.message_user(request, f"Reverted task {task.pk}.", messages.SUCCESS)
        return HttpResponseRedirect(self._url("change", str(task.pk)))

    def _ask_to_revert(self, request: HttpRequest, task: Task, version_id: int) -> HttpResponse:
        target = version(user_id=task.user_id, task_id=task.pk, version_id=version_id)
        names = [name for name in target if hasattr(task, name)]
        current = {name: getattr(task, name) for name in names} | {"deleted_at": target["deleted_at"]}
        return self.ask(
            request,
            label="Revert",
            question=f"Revert task {task.pk} to its version of {target['pgh_created_at']:%Y-%m-%d %H:%M:%S} UTC?",
            explanation="All fields and the status return to that version. The history gets a new version.",
            changes=list(differences(current, target, zone_of(task.user.time_zone))),
            fields=[("seen", task.version)],
            back=self._url("change", str(task.pk)),
        )

    def undo_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to take back the whole call that one entry of the history shows. A POST does it."""
        task = self.get_object(request, unquote(object_id))
        if task is None or not self.may_undo(request):
            raise PermissionDenied
        event = {"user_id": task.user_id, "task_id": task.pk, "event_id": positive(request.GET.get("event")) or 0}
        back = self._url("change", str(task.pk))
        try:
            previews = preview_undo(**event, zone=zone_of(task.user.time_zone))
            if any(preview.deletes for preview in previews) and not request.user.has_perm("tasks.delete_task"):
                raise PermissionDenied
            if changed := [preview.task_id for preview in previews if preview.has_changed]:
                raise VersionConflict(refusal(changed))
            if request.method != "POST":
                return self._ask_to_undo(request, previews, back)
            with self.recorded(request, "undo"):
                steps = undo_event(**event)
        except TaskNotFound as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(self._url("changelist"))
        except VersionConflict as error:
            self.message_user(request, f"Nothing was done. {error.message}", messages.ERROR)
            return HttpResponseRedirect(back)
        undone = [Task(pk=step.after.id, user_id=task.user_id) for step in steps]
        self._log(request, undone, CHANGE, "Undone")
        others = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
        self.message_user(request, f"Undone, for task {task.pk}{others}.", messages.SUCCESS)
        return HttpResponseRedirect(back)

    def _ask_to_undo(self, request: HttpRequest, previews: Sequence[Preview], back: str) -> HttpResponse:
        which = f"{len(previews)} tasks" if len(previews) > 1 else f"task {previews[0].task_id}"
        return self.ask(
            request,
            label="Undo",
            question=f"Undo this call for {which}?",
            explanation="This is what changes. The history gets a new entry, which can be undone too.",
            groups=previews,
            back=back,
        )
