"""The form on a task's admin page. The rules are those of ``update_task``, in the zone of the task's owner."""

from typing import Any

from django import forms
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from tasks.changes.editing import edit, with_clear
from tasks.changes.refusals import Refused
from tasks.clock import clock_in, due_in, zone_of
from tasks.models import PRIORITIES, REPEAT_MAX, Task
from tasks.operators.words import due_in_words
from tasks.schemas import PHRASE_MAX
from tasks.state import COLUMNS, TaskState
from todo_mcp.admin_kit.base import isolated
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import REGISTRY
from todo_mcp.dates.zones import show


def _text(maximum: int, **attributes: str) -> Any:
    """A field whose change is detected against the value that the operator saw."""
    widget = UnfoldAdminTextInputWidget(attrs={"dir": "auto", "autocomplete": "off", **attributes})
    return forms.CharField(required=False, max_length=maximum, show_hidden_initial=True, widget=widget)


def _line_ends(text: str | None) -> str:
    """The text as it is stored: browsers send CR LF, and forms strip spaces."""
    return (text or "").replace("\r\n", "\n").strip()


class TaskForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker only
    """The fields of a task that an operator may change.

    Only fields that the operator edits are sent, so a client's change to another field meanwhile is not lost.
    """

    due = _text(PHRASE_MAX)
    priority = forms.ChoiceField(
        choices=[(name, name) for name in PRIORITIES],
        required=False,
        show_hidden_initial=True,
        widget=UnfoldAdminSelectWidget,
    )
    repeat = _text(REPEAT_MAX)
    tags = _text(500)

    class Meta:
        model = Task
        fields = ["title", "description"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        task: Task = self.instance
        if "due" not in self.fields:  # the operator may only view
            return
        self.clock = clock_in(zone_of(task.user.time_zone))
        due = due_in(task.due_on, task.due_at, self.clock.zone)
        self.initial = {
            **self.initial,
            "due": show(due) if due else "",
            "priority": PRIORITIES[task.priority],
            "repeat": task.repeat,
            "tags": ", ".join(task.tags),
        }
        zone = task.user.time_zone or "UTC, because the user's zone is not known"
        words = due_in_words(task.due_on, task.due_at, self.clock.zone)
        self.fields[
            "due"
        ].help_text = (
            f"{words + '. ' if words else ''}Read in {zone}: a date, or words such as tomorrow 9am, +1 day or skip."
        )
        self.fields["repeat"].help_text = "Words such as every monday, or an RRULE."
        self.fields["tags"].help_text = "With commas between them."

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.arguments: dict[str, Any] = {}
        self.seen_version = self.instance.version
        if self._has_conflicts():
            return data
        sent = {name: data[name] for name in self.changed_data if name in data}
        if "tags" in sent:
            sent["tags"] = [tag.strip() for tag in sent["tags"].split(",") if tag.strip()]
        try:
            arguments = self._arguments(sent) if sent else {}
            state = TaskState(**{name: getattr(self.instance, name) for name in COLUMNS})
            edit(state, with_clear(arguments), self.clock)
        except InvalidArguments as error:
            for name, reason in error.details["fields"].items():
                self._refuse(name.partition(".")[0], reason)
        except Refused as refused:
            self._refuse(refused.field, refused.reason)
        else:
            self.arguments = arguments
        return data

    def _has_conflicts(self) -> bool:
        """Refuse each field that the operator edited while somebody else changed it. The next save is deliberate."""
        conflicts = [name for name in self.changed_data if self._is_conflict(name)]
        data: Any = self.data
        self.data = data = data.copy()
        for name in conflicts:
            current = self.initial[name]
            data[self.add_initial_prefix(name)] = current
            now = isolated(current or "(empty)")
            self.add_error(name, format_html("Changed meanwhile. It is now: {}. Save again to replace it.", now))
        return bool(conflicts)

    def _is_conflict(self, name: str) -> bool:
        """Whether a field is no longer as the operator saw it, nor as the operator typed it."""
        seen, typed = (_line_ends(self.data.get(key)) for key in (self.add_initial_prefix(name), self.add_prefix(name)))
        current = _line_ends(self.initial[name])
        return current not in (seen, typed)

    def _arguments(self, sent: dict[str, Any]) -> dict[str, Any]:
        """The arguments of ``update_task``."""
        emptied = [name for name, value in sent.items() if not value]
        if "due" in emptied and not sent.get("repeat"):
            emptied = [name for name in emptied if name != "repeat"]  # the repeat ends with the due date
        valid = REGISTRY["update_task"].validate({"task_id": self.instance.pk, **sent, "clear": emptied})
        return {name: value for name, value in valid.items() if name != "task_id"}

    def _refuse(self, name: str, reason: str) -> None:
        self.add_error(name if name in self.fields else None, f"This {reason.rstrip('.')}.")

    def _post_clean(self) -> None:
        """Django would copy the texts into the task's columns. The service changes the task."""
