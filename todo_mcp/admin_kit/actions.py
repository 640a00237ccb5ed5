"""Admin actions on rows. Each one is a POST, runs through a service, and is recorded.

A destructive action asks for confirmation first, on a page of its own. Task changes appear in the task's history. Every
action appears in the operators' log, which never contains the text of a task. Every POST redirects, so going back or
reloading repeats nothing.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from todo_mcp.admin_kit.given_back import GivesBackAdmin
from todo_mcp.admin_kit.parameters import next_url, positive
from todo_mcp.admin_kit.recording import Heading, RecordingAdmin
from todo_mcp.admin_kit.row_action import GONE, NOT_LISTED, NOT_REACHED, left_in_words
from todo_mcp.admin_kit.row_action import RowAction as RowAction
from todo_mcp.admin_kit.site import window_title
from todo_mcp.core.errors import TodoError, VersionConflict
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)

ACTION_MAX = 100  # rows that one action may change
CONFIRM_SHOWN = 10  # rows that the confirmation page lists
ADDRESS_MAX = 8000  # characters of a confirmation page's address, which names the rows


class RowActionsAdmin(GivesBackAdmin, RecordingAdmin):
    """An admin page with ``row_actions``."""

    row_actions: ClassVar[Sequence[RowAction]] = ()
    history_anchor: ClassVar[str] = ""  # the fragment of the row's own history on its page, if it has one
    change_form_template = "admin/change_form_with_actions.html"
    may_act_unless: ClassVar[str] = "not yours to change"  # what a row is on which the operator may not act

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Django's own delete bypasses the services; use a row action instead

    def may_act(self, request: HttpRequest, row: Any) -> bool:
        """Whether this operator, who has permission for the table, may also act on this row."""
        return True

    def describe(self, row: Any) -> str:
        """The row's name on a confirmation page."""
        return str(row)

    def consequences(self, row: Any) -> dict[str, int]:
        """How much of each kind an action with a receipt would remove."""
        return {}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {
            action.name: (self._handler(action), action.name, action.label)
            for action in self.row_actions
            if request.user.has_perm(self._permission(action))
        }

    def _permission(self, action: RowAction) -> str:
        if "." in action.permission:
            return action.permission
        return f"{self.opts.app_label}.{get_permission_codename(action.permission, self.opts)}"

    def _offers(self, request: HttpRequest, action: RowAction, row: Any) -> bool:
        return action.applies(row) and (action.on_any_row or self.may_act(request, row))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if (row := kwargs.get("obj")) is not None:
            context["original"] = Heading(row, self._plain_name(row))
        context["show_history"] = False
        allowed = self.get_actions(request) if row else {}
        context["row_actions"] = [a for a in self.row_actions if a.name in allowed and self._offers(request, a, row)]
        context["row_title"] = window_title(self.describe(row)) if row is not None else ""
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Go to the row's page, which has all that is known of its past."""
        return HttpResponseRedirect(self._url("change", quote(unquote(object_id))) + self.history_anchor)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        for attempt in (1, 2):
            try:
                return super().changeform_view(request, *args, **kwargs)
            except TodoError as error:
                if isinstance(error, VersionConflict) and attempt == 1:
                    continue  # the row changed between the form's check and the service: check it again
                request.refusal = error.message  # type: ignore[attr-defined]  # the form comes back with it
        return super().changeform_view(request, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return super().response_add(request, Heading(obj, str(obj.pk)), post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return super().response_change(request, Heading(obj, str(obj.pk)))

    def _handler(self, action: RowAction) -> Callable[..., HttpResponse | None]:
        def handle(_: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            return self._act(request, queryset, action)

        return handle

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_confirm"
        return [path("confirm/", self.admin_site.admin_view(self.confirm_view), name=name), *super().get_urls()]

    def _act(self, request: HttpRequest, queryset: QuerySet[Any], action: RowAction) -> HttpResponse:
        """Act and report, or go to the page that asks for confirmation."""
        selected = list(queryset[: ACTION_MAX + 1])
        url = self._origin(request, selected)
        hidden = Counter({NOT_LISTED: len(set(request.POST.getlist(ACTION_CHECKBOX_NAME))) - len(selected)})
        question = self._url("confirm") + "?" + self._question(action, [row.pk for row in selected], url)
        if len(selected) > ACTION_MAX:
            self.message_user(request, f"Nothing was done. Select at most {ACTION_MAX} at a time.", messages.ERROR)
        elif action.typed and len(selected) > 1:
            self.message_user(request, f"Nothing was done. Select one row for “{action.label}”.", messages.ERROR)
        elif not action.confirm:
            self._run(request, selected, action, hidden)
        elif not self._split(request, selected, action)[0]:
            self._report(request, action, 0, hidden + self._split(request, selected, action)[1])
        elif len(question) > ADDRESS_MAX:
            self.message_user(request, "Nothing was done. Select fewer at a time.", messages.ERROR)
        else:
            self._report(request, action, 0, hidden)
            url = question
        return HttpResponseRedirect(url)

    def confirm_view(self, request: HttpRequest) -> HttpResponse:
        """Ask before an action runs on the rows that the address names. A POST confirms and goes on to ``next``."""
        action = next((a for a in self.row_actions if a.name == request.GET.get("action")), None)
        may_see = self.has_view_or_change_permission(request)
        if action is None or not may_see or action.name not in self.get_actions(request):
            raise PermissionDenied
        keys = self._keys(request)[: 1 if action.typed else ACTION_MAX]
        selected = list(self.get_queryset(request).filter(pk__in=keys)[:ACTION_MAX])
        rows, left = self._split(request, selected, action)
        left[GONE] += len(keys) - len(selected)
        url = next_url(request) or self._url("changelist")
        if rows and request.method != "POST":
            return self._confirmation_page(request, rows, left, action, url)
        if rows and action.typed and request.POST.get("typed") != str(rows[0].pk):
            return HttpResponseRedirect(f"?{self._question(action, keys, url)}&mistyped=yes")
        entries = self._run(request, rows, action, left)
        if action.receipt and entries:
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:admin_logentry_change", args=[entries[0].pk]))
        is_gone = action.removes and any(url.startswith(self._url("change", quote(key))) for key in keys)
        return HttpResponseRedirect(self._url("changelist") if is_gone else url)

    def _keys(self, request: HttpRequest) -> list[Any]:
        """The keys of rows in the address, without what cannot be one."""
        given = list(dict.fromkeys(request.GET.getlist("row")))
        if self.opts.pk.get_internal_type() == "BigAutoField":
            return [key for text in given if (key := positive(text))]
        return [key for key in given if "\0" not in key]

    def _question(self, action: RowAction, keys: Sequence[Any], url: str) -> str:
        """The parameters of the page that asks for confirmation."""
        return urlencode({"action": action.name, "row": [str(key) for key in keys], "next": url}, doseq=True)

    def _origin(self, request: HttpRequest, selected: Sequence[Any]) -> str:
        """The page that the form was on: the one that it names, the row's page, or the list with its filters."""
        if "from_row" in request.POST and selected:
            return next_url(request) or self._url("change", quote(selected[0].pk))
        return next_url(request) or request.get_full_path()

    def _split(
        self, request: HttpRequest, selected: Sequence[Any], action: RowAction
    ) -> tuple[list[Any], Counter[str]]:
        """The rows that the action may change, and for the others how many there are of each reason."""
        rows, left = [], Counter[str]()
        for row in selected:
            if not action.applies(row):
                left[action.unless] += 1
            elif not self._offers(request, action, row):
                left[self.may_act_unless] += 1
            else:
                rows.append(row)
        return rows, left

    def _run(
        self, request: HttpRequest, selected: Sequence[Any], action: RowAction, left: Counter[str]
    ) -> list[LogEntry]:
        """Act on the rows that the action may change, record it and report. ``left`` are rows left out before."""
        rows, left_now = self._split(request, selected, action)
        entries: list[LogEntry] = []
        for number, row in enumerate(rows):
            try:
                entries += self._perform(request, row, action)
            except OperationalError as error:  # what was done before stays done, and is reported
                logger.warning("action stopped", extra={"action": action.name, **describe_error(error)})
                left_now[NOT_REACHED] += len(rows) - number
                break
        self._report(request, action, len(entries), left + left_now)
        return entries

    def _perform(self, request: HttpRequest, row: Model, action: RowAction) -> list[LogEntry]:
        """Act on one row and record it. No entry if the service refused."""
        reason = request.POST.get("reason", "").strip()
        given = {"by": str(request.user.pk), "reason": reason} if action.asks_reason else {}
        try:
            with self.recorded(request, action.name):
                removed = action.perform(row, **given)
        except TodoError as error:  # the row changed since it was listed
            self.message_user(request, error.message, messages.ERROR)
            return []
        return self._log(request, [row], CHANGE, json.dumps({action.done: removed}) if action.receipt else action.done)

    def _report(self, request: HttpRequest, action: RowAction, changed: int, left: Counter[str]) -> None:
        if changed:
            name = self.opts.verbose_name if changed == 1 else self.opts.verbose_name_plural
            self.message_user(request, f"{action.done}{action.of} {changed} {name}.", messages.SUCCESS)
        for text in left_in_words(left):
            self.message_user(request, text, messages.WARNING)

    def _confirmation_page(
        self, request: HttpRequest, rows: list[Any], left: Counter[str], action: RowAction, back: str
    ) -> TemplateResponse:
        name = self.opts.verbose_name if len(rows) == 1 else self.opts.verbose_name_plural
        return self.ask(
            request,
            label=action.label,
            question=f"{action.label}{action.of} {len(rows)} {name}?",
            explanation=action.confirm,
            rows=[self.describe(row) for row in rows[:CONFIRM_SHOWN]],
            more=len(rows[CONFIRM_SHOWN:]),
            left=left_in_words(left, will_be=True),
            counts=self.consequences(rows[0]) if action.receipt else {},
            asks_reason=action.asks_reason,
            typed=rows[0].pk if action.typed else None,
            mistyped="mistyped" in request.GET,
            back=back,
        )

    def ask(self, request: HttpRequest, *, label: str, **context: Any) -> TemplateResponse:
        """A page that asks for confirmation. Its form posts ``fields`` to the address of the page."""
        context |= {"label": label, "title": label, "opts": self.opts}
        return TemplateResponse(
            request, "admin/confirm_action.html", {**self.admin_site.each_context(request), **context}
        )

    def _url(self, page: str, *args: str) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)
