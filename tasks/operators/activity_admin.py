"""The Activity page: what was done to all tasks, call by call; and its undo, for one call or up to 1,000."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from tasks.operators.activity import LOOKED_AT, Found, find_calls
from tasks.operators.activity_form import ActivityForm
from tasks.operators.activity_lines import lines_of
from tasks.operators.undo import CALLS_MAX, Outcome, preview, undo_calls
from todo_mcp.admin_kit.base import ReadOnly
from todo_mcp.admin_kit.parameters import next_url, positive
from todo_mcp.admin_kit.recording import RecordingAdmin
from todo_mcp.admin_kit.site import may_view
from todo_mcp.core.operations import REGISTRY
from todo_mcp.statistics.services import clients_seen
from todo_mcp.telemetry.logs import request_id
from todo_mcp.users.models import User

LINES = 50  # calls on a page
CLIENTS_PROPOSED = 50
LEFT_OUT_SHOWN = 100
ALL_LOOKED_AT = 500_000  # events that are looked at for everything that the filters find
OPERATORS_TOOLS = ("edit", "undo", "revert_task", "reopen_task", "restore_task")


class ActivityAdmin(ReadOnly, RecordingAdmin):
    """Whoever may view tasks may view this. Whoever may change tasks may undo."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_view("tasks.task")(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        views = {"changelist": ("", self.activity_view), "undo": ("undo/", self.undo_view)}
        return [
            path(route, self.admin_site.admin_view(view), name=f"tasks_taskevent_{name}")
            for name, (route, view) in views.items()
        ]

    def activity_view(self, request: HttpRequest) -> HttpResponse:
        """The calls that the filters of the address find, a page at a time."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = ActivityForm(request.GET)
        filters = form.filters()
        found = find_calls(filters, limit=LINES) if filters else Found([], more=False, looked_to=None)
        upto = (filters and filters.upto) or next(iter(found.places), None)
        return self._page(
            request,
            "admin/activity.html",
            title="Activity",
            form=form,
            lines=lines_of(found.event_ids),
            found=found,
            upto=upto,
            newest=form.address() if filters and filters.before else None,
            older=form.address(before=found.places[-1], upto=upto) if found.more else None,
            further=form.address(before=found.looked_to, upto=upto) if found.looked_to else None,
            may_undo=self._may_undo(request),
            sees_users=may_view("users.user")(request),
            sees_tokens=may_view("oauth2_provider.accesstoken")(request),
            clients=[one.client for one in clients_seen(days=30, limit=CLIENTS_PROPOSED)],
            tools=[*sorted(name for name, one in REGISTRY.items() if not one.read_only), *OPERATORS_TOOLS],
            looked_at=LOOKED_AT,
        )

    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Show what undoing the calls of the address would do; after a POST, do it."""
        if not self._may_undo(request):
            raise PermissionDenied
        may_delete = request.user.has_perm("tasks.delete_task")
        event_ids, found = self._chosen(request)
        if request.method == "POST":
            with self.recorded(request, "undo"):
                outcome = undo_calls(event_ids, may_delete=may_delete)
            self._report_undo(request, outcome)
            return HttpResponseRedirect(next_url(request) or f"{self._list()}?request={request_id.get()}")
        outcome, previews = preview(event_ids, may_delete=may_delete)
        return self._page(
            request,
            "admin/activity_undo.html",
            title="Undo",
            outcome=outcome,
            previews=previews,
            left_out=outcome.left_out[:LEFT_OUT_SHOWN],
            left_out_more=len(outcome.left_out[LEFT_OUT_SHOWN:]),
            chosen=len(event_ids),
            found=found,
            looked_at=ALL_LOOKED_AT,
            calls_max=CALLS_MAX,
            back=next_url(request) or self._list() + ActivityForm(request.GET).address(),
        )

    def _may_undo(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tasks.change_task")

    def _chosen(self, request: HttpRequest) -> tuple[list[int], Found | None]:
        """Events of the calls that the address names, or that its filters find."""
        if "all" not in request.GET:
            ids = [number for text in request.GET.getlist("call") if (number := positive(text))]
            return ids[:CALLS_MAX], None
        filters = ActivityForm(request.GET).filters()
        if filters is None:
            return [], None
        found = find_calls(replace(filters, before=None), limit=CALLS_MAX, looked_at=ALL_LOOKED_AT)
        return found.event_ids, found

    def _report_undo(self, request: HttpRequest, outcome: Outcome) -> None:
        by_message: dict[str, list[User]] = {}
        for user_id, tasks in Counter(outcome.task_ids.values()).items():
            message = json.dumps({"Undone": {"tasks": tasks}})
            by_message.setdefault(message, []).append(User(pk=user_id))
        for message, users in by_message.items():
            self._log(request, users, CHANGE, message)
        if outcome.calls:
            self.message_user(request, f"Undone: {outcome.in_words()}.", messages.SUCCESS)
        if outcome.left_out:
            text = f"{len(outcome.left_out)} not changed: {outcome.left_out_in_words()}."
            self.message_user(request, text, messages.WARNING)
        if outcome.not_reached:
            text = f"{outcome.not_reached} calls were not reached, because it took too long. Undo them again."
            self.message_user(request, text, messages.ERROR)
        elif not outcome.calls and not outcome.left_out:
            self.message_user(request, "Nothing was done: there is no such call.", messages.ERROR)

    def _list(self) -> str:
        return reverse("admin:tasks_taskevent_changelist")

    def _page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})
