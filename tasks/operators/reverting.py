"""The page that reverts a task to one of its versions.

It asks by GET and shows the task as it is at that moment. The POST goes on only if the task is still the same.
"""

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from tasks.clock import zone_of
from tasks.history import differences, revert_task, version
from tasks.models import Task
from todo_mcp.admin_kit.base import BaseAdmin
from todo_mcp.admin_kit.parameters import positive
from todo_mcp.core.errors import TaskNotFound, VersionConflict


class RevertingAdmin(BaseAdmin):
    """An admin page of tasks with the page ``revert`` for each task."""

    def get_urls(self) -> list[URLPattern]:
        revert = self.admin_site.admin_view(self.revert_view)
        return [path("<path:object_id>/revert/", revert, name="tasks_task_revert"), *super().get_urls()]

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
