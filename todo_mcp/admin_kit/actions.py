"""Admin actions on rows. Each one is a POST, runs through a service, and is recorded.

A destructive action asks for confirmation first. Task changes appear in the task's history. Every action appears in
Django's admin log, which never contains the text of a task.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from todo_mcp.core.errors import TodoError
from todo_mcp.postgres.history import history_context
from todo_mcp.telemetry.logs import request_id

if TYPE_CHECKING:  # unfold publishes no types; its ModelAdmin has the same signatures as Django's
    from django.contrib.admin import ModelAdmin as DjangoModelAdmin

    UnfoldModelAdmin = DjangoModelAdmin[Any]
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin

ACTION_MAX = 100  # rows that one action may change
CONFIRM_SHOWN = 10  # rows that the confirmation page lists


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """An action on a row, offered on the list and on the row's page.

    Args:
        name: the value of ``action`` in the POST, and the ``tool`` in the task's history.
        done: the past tense, for the message: "Completed" 3 tasks.
        perform: the service call that does it; it may raise a ``TodoError``.
        permission: the Django permission that it needs: ``change`` or ``delete``.
        confirm: what it destroys. If this is set, the operator must confirm first.
        typed: the operator confirms by typing the row's key, so the action works on one row at a time.
        removes: the row no longer exists afterwards.
        applies: whether the action makes sense for a row in its current state.
    """

    name: str
    label: str
    done: str
    perform: Callable[[Any], object]
    permission: str = "change"
    confirm: str = ""
    typed: bool = False
    removes: bool = False
    applies: Callable[[Any], bool] = lambda row: True

    @property
    def style(self) -> str:
        """The CSS class of the button."""
        return "todo-destroys" if self.confirm else ""


@dataclass(frozen=True)
class _Heading:
    """A row under a plain name. Django shows it in headings and messages by its id, never by a user's text."""

    row: Any
    name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)

    def __str__(self) -> str:
        return self.name


class RowActionsAdmin(UnfoldModelAdmin):
    """An admin page with ``row_actions``."""

    row_actions: ClassVar[Sequence[RowAction]] = ()
    shows_log: ClassVar[bool] = False  # whether to link to Django's log of the row, which is empty for other models
    history_anchor: ClassVar[str] = ""  # the fragment of the row's own history on its page, if it has one
    change_form_template = "admin/change_form_with_actions.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Django's own delete bypasses the services; use a row action instead

    def may_act(self, request: HttpRequest, row: Any) -> bool:
        """Whether this operator, who has permission for the table, may also act on this row."""
        return True

    def describe(self, row: Any) -> str:
        """The row's name on a confirmation page."""
        return str(row)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {
            action.name: (self._handler(action), action.name, action.label)
            for action in self.row_actions
            if request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename(action.permission, self.opts)}")
        }

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if (row := kwargs.get("obj")) is not None:
            context["original"] = _Heading(row, self._plain_name(row))
        context["show_history"] = self.shows_log
        allowed = self.get_actions(request) if row and self.may_act(request, row) else {}
        context["row_actions"] = [a for a in self.row_actions if a.name in allowed and a.applies(row)]
        context["subtitle"] = None  # a browser title cannot isolate the direction of a user's text
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Django's log of the row. Without one, go to the row's page, which has all that is known of its past."""
        if self.shows_log:
            return super().history_view(request, object_id, extra_context)
        return HttpResponseRedirect(self._url("change", quote(unquote(object_id))) + self.history_anchor)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except TodoError as error:  # the row changed between the form's check and the service
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return super().response_add(request, _Heading(obj, str(obj.pk)), post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return super().response_change(request, _Heading(obj, str(obj.pk)))

    def recorded(self, request: HttpRequest, tool: str) -> Any:
        """The context in which the history records a service's changes as this operator's."""
        return history_context(user=str(request.user.pk), tool=tool, client="admin", request_id=request_id.get())

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        return self._log(request, [obj], ADDITION, json.dumps(message))[0]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        return self._log(request, [obj], CHANGE, json.dumps(message))[0]

    def _log(self, request: HttpRequest, rows: Sequence[Model], flag: int, message: str) -> list[LogEntry]:
        kind = ContentType.objects.get_for_model(self.model)
        return LogEntry.objects.bulk_create(
            LogEntry(
                user_id=str(request.user.pk),
                content_type=kind,
                object_id=str(row.pk),
                object_repr=self._plain_name(row),
                action_flag=flag,
                change_message=message,
            )
            for row in rows
        )

    def _plain_name(self, row: Model) -> str:
        return f"{self.opts.verbose_name} {row.pk}"[:200]

    def _handler(self, action: RowAction) -> Callable[..., HttpResponse | None]:
        def handle(_: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            return self._act(request, queryset, action)

        return handle

    def _act(self, request: HttpRequest, queryset: QuerySet[Any], action: RowAction) -> HttpResponse | None:
        """Ask for confirmation, or act and report. None makes Django return to the list with its filters."""
        selected = list(queryset[: ACTION_MAX + 1])
        if len(selected) > ACTION_MAX:
            self.message_user(request, f"Nothing was done. Select at most {ACTION_MAX} at a time.", messages.ERROR)
            return None
        rows = [row for row in selected if action.applies(row) and self.may_act(request, row)]
        if action.typed and len(rows) > 1:
            self.message_user(request, f"Nothing was done. Select one row for “{action.label}”.", messages.ERROR)
            return None
        if rows and action.confirm and not self._is_confirmed(request, rows, action):
            return self._confirmation_page(request, rows, action)
        changed = [row for row in rows if self._perform(request, row, action)]
        self._log(request, changed, CHANGE, action.done)
        self._report(request, action, changed=len(changed), skipped=len(selected) - len(changed))
        if next_url := self._next_url(request):
            return HttpResponseRedirect(next_url)
        if "from_row" in request.POST and not action.removes and selected:
            return HttpResponseRedirect(self._url("change", quote(selected[0].pk)))
        return None

    def _next_url(self, request: HttpRequest) -> str:
        """The page that the form was on, if it is neither the list nor the row's page. Other sites are ignored."""
        url = request.POST.get("next", "")
        return url if url_has_allowed_host_and_scheme(url, allowed_hosts=None) else ""

    def _perform(self, request: HttpRequest, row: Model, action: RowAction) -> bool:
        try:
            with self.recorded(request, action.name):
                action.perform(row)
        except TodoError as error:  # the row changed since it was listed
            self.message_user(request, error.message, messages.ERROR)
            return False
        return True

    def _report(self, request: HttpRequest, action: RowAction, *, changed: int, skipped: int) -> None:
        if changed:
            name = self.opts.verbose_name if changed == 1 else self.opts.verbose_name_plural
            self.message_user(request, f"{action.done} {changed} {name}.", messages.SUCCESS)
        if skipped:
            self.message_user(request, f"Skipped {skipped}: “{action.label}” does not apply.", messages.WARNING)

    def _is_confirmed(self, request: HttpRequest, rows: list[Any], action: RowAction) -> bool:
        is_typed = not action.typed or request.POST.get("typed") == str(rows[0].pk)
        return "confirmed" in request.POST and is_typed

    def _confirmation_page(self, request: HttpRequest, rows: list[Any], action: RowAction) -> TemplateResponse:
        origin = [(name, request.POST[name]) for name in ("from_row", "next") if name in request.POST]
        back = self._url("change", quote(rows[0].pk)) if "from_row" in request.POST else request.get_full_path()
        name = self.opts.verbose_name if len(rows) == 1 else self.opts.verbose_name_plural
        return self.ask(
            request,
            label=action.label,
            question=f"{action.label} {len(rows)} {name}?",
            explanation=action.confirm,
            rows=[self.describe(row) for row in rows[:CONFIRM_SHOWN]],
            more=len(rows[CONFIRM_SHOWN:]),
            fields=[*((ACTION_CHECKBOX_NAME, row.pk) for row in rows), ("action", action.name), *origin],
            typed=rows[0].pk if action.typed else None,
            mistyped="confirmed" in request.POST,
            back=self._next_url(request) or back,
        )

    def ask(self, request: HttpRequest, *, label: str, **context: Any) -> TemplateResponse:
        """A confirmation page. Its form posts ``fields`` again, together with ``confirmed``."""
        context |= {"label": label, "title": label, "opts": self.opts}
        return TemplateResponse(
            request, "admin/confirm_action.html", {**self.admin_site.each_context(request), **context}
        )

    def _url(self, page: str, *args: str) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)
