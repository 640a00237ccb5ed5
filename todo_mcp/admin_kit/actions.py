"""What an operator does to rows: always a POST, confirmed where it destroys, done by a service and recorded.

An action is recorded in the history of a task, and in Django's admin log, which never holds the words of a task.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.utils import quote
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

if TYPE_CHECKING:  # unfold publishes no types; its admin takes and gives what Django's does
    from django.contrib.admin import ModelAdmin as DjangoModelAdmin

    UnfoldModelAdmin = DjangoModelAdmin[Any]
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin

ACTION_MAX = 100  # rows that one action changes
CONFIRM_SHOWN = 10  # rows that a confirmation names


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """Something that an operator does to a row, through a service; offered on the list and on the row's page.

    Args:
        name: its name in the POST, and the ``tool`` in the history.
        done: the past tense, for the message: "Completed" 3 tasks.
        permission: Django's: ``change`` or ``delete``.
        confirm: what it destroys; with it the operator is asked first.
        typed: the operator confirms by typing the row's key, so it is done to one row at a time.
        removes: the row is gone afterwards.
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
        """The class of its button."""
        return "todo-destroys" if self.confirm else ""


@dataclass(frozen=True)
class _Heading:
    """Stands for a row where Django writes it into a heading or a message: by its id, never by the words in it."""

    row: Any
    name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)

    def __str__(self) -> str:
        return self.name


class RowActionsAdmin(UnfoldModelAdmin):
    """An admin page whose changes are ``row_actions``."""

    row_actions: ClassVar[Sequence[RowAction]] = ()
    shows_log: ClassVar[bool] = False  # link to Django's log of the row
    change_form_template = "admin/change_form_with_actions.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Django's own delete goes past the services; what may be deleted has a row action

    def may_act(self, request: HttpRequest, row: Any) -> bool:
        """Whether this operator may act on this row, the permission for the table granted."""
        return True

    def describe(self, row: Any) -> str:
        """What a confirmation calls the row."""
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
        context["subtitle"] = None  # the browser's title cannot isolate the direction of a text
        return super().render_change_form(request, context, *args, **kwargs)

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
        """The context in which a service's change is recorded as this operator's."""
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
        """Ask, or do it and tell. None: Django goes back to the list as it was filtered."""
        selected = list(queryset[: ACTION_MAX + 1])
        if len(selected) > ACTION_MAX:
            self.message_user(request, f"Nothing was done. Select at most {ACTION_MAX} at a time.", messages.ERROR)
            return None
        rows = [row for row in selected if action.applies(row) and self.may_act(request, row)]
        if action.typed and len(rows) > 1:
            self.message_user(request, f"Nothing was done. “{action.label}” takes one at a time.", messages.ERROR)
            return None
        if rows and action.confirm and not self._confirmed(request, rows, action):
            return self._confirmation(request, rows, action)
        done = [row for row in rows if self._performed(request, row, action)]
        self._log(request, done, CHANGE, action.done)
        self._tell(request, action, done=len(done), skipped=len(selected) - len(done))
        if following := self._next(request):
            return HttpResponseRedirect(following)
        if "from_row" in request.POST and not action.removes and selected:
            return HttpResponseRedirect(self._url("change", quote(selected[0].pk)))
        return None

    def _next(self, request: HttpRequest) -> str:
        """The page of this site from which the action was asked for, where that is neither the list nor the row's."""
        given = request.POST.get("next", "")
        return given if url_has_allowed_host_and_scheme(given, allowed_hosts=None) else ""

    def _performed(self, request: HttpRequest, row: Model, action: RowAction) -> bool:
        try:
            with self.recorded(request, action.name):
                action.perform(row)
        except TodoError as error:  # the row changed since it was listed
            self.message_user(request, error.message, messages.ERROR)
            return False
        return True

    def _tell(self, request: HttpRequest, action: RowAction, *, done: int, skipped: int) -> None:
        if done:
            name = self.opts.verbose_name if done == 1 else self.opts.verbose_name_plural
            self.message_user(request, f"{action.done} {done} {name}.", messages.SUCCESS)
        if skipped:
            self.message_user(request, f"Left {skipped} as before: “{action.label}” does not apply.", messages.WARNING)

    def _confirmed(self, request: HttpRequest, rows: list[Any], action: RowAction) -> bool:
        typed = not action.typed or request.POST.get("typed") == str(rows[0].pk)
        return "confirmed" in request.POST and typed

    def _confirmation(self, request: HttpRequest, rows: list[Any], action: RowAction) -> TemplateResponse:
        kept = [(name, request.POST[name]) for name in ("from_row", "next") if name in request.POST]
        back = self._url("change", quote(rows[0].pk)) if "from_row" in request.POST else request.get_full_path()
        name = self.opts.verbose_name if len(rows) == 1 else self.opts.verbose_name_plural
        return self.ask(
            request,
            label=action.label,
            question=f"{action.label} {len(rows)} {name}?",
            explanation=action.confirm,
            rows=[self.describe(row) for row in rows[:CONFIRM_SHOWN]],
            more=len(rows[CONFIRM_SHOWN:]),
            fields=[*((ACTION_CHECKBOX_NAME, row.pk) for row in rows), ("action", action.name), *kept],
            typed=rows[0].pk if action.typed else None,
            mistyped="confirmed" in request.POST,
            back=self._next(request) or back,
        )

    def ask(self, request: HttpRequest, *, label: str, **context: Any) -> TemplateResponse:
        """The page that asks before something is done. Its form posts ``fields`` again, and ``confirmed``."""
        context |= {"label": label, "title": label, "opts": self.opts}
        return TemplateResponse(
            request, "admin/confirm_action.html", {**self.admin_site.each_context(request), **context}
        )

    def _url(self, page: str, *args: str) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)
