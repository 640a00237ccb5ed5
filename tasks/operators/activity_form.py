"""The filters of the Activity page, as its address has them."""

from datetime import datetime
from typing import Any

from django import forms
from django.http import QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from tasks.operators.activity import CHANGES, Filters, Place
from todo_mcp.admin_kit.filters import ActiveFilter
from todo_mcp.admin_kit.parameters import positive

_TEXT_MAX = 255


def _text(label: str, **attributes: str) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "dir": "auto", **attributes})
    return forms.CharField(label=label, required=False, max_length=_TEXT_MAX, widget=widget)


def _moment(label: str) -> forms.DateTimeField:
    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, required=False, widget=widget)


class ActivityForm(forms.Form):
    """Any value of a field is optional. A value that is not valid finds nothing, and the field says why."""

    user = _text("User id")
    client = _text("Client", list="clients")
    token = _text("Token, by name or number")
    tool = _text("Tool", list="tools")
    change = forms.ChoiceField(
        label="What changed",
        required=False,
        choices=[("", "Anything"), *((name, label) for name, (label, _) in CHANGES.items())],
        widget=UnfoldAdminSelectWidget,
    )
    task = forms.CharField(label="Task", required=False, widget=forms.HiddenInput)  # links set these two
    request = forms.CharField(label="Request", required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, label_suffix="")
        self.fields |= {"from": _moment("From (UTC)"), "to": _moment("Before (UTC)")}
        self.order_fields(["from", "to", "user", "client", "tool", "change", "token", "task", "request"])

    def clean_task(self) -> int | None:
        number = positive(text := self.cleaned_data["task"])
        if text and number is None:
            raise forms.ValidationError("The task in the address is not a number.")
        return number

    def filters(self) -> Filters | None:
        """The filters, with the place from which to read. None if a field is not valid."""
        if not self.is_valid():
            return None
        data: dict[str, Any] = self.cleaned_data
        names = ("user", "task", "client", "token", "tool", "change", "request")
        return Filters(
            **{name: data[name] for name in names},
            since=data["from"],
            until=data["to"],
            upto=Place.parse(self.data.get("upto", "")),
            before=Place.parse(self.data.get("before", "")),
        )

    @property
    def given(self) -> dict[str, str]:
        """The filters that the address has, as they are written there."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    def active(self) -> list[ActiveFilter]:
        return [
            ActiveFilter(str(self.fields[name].label), _shown(self.fields[name], value), self.address(**{name: None}))
            for name, value in self.given.items()
        ]

    def address(self, **changed: object) -> str:
        """The query of the page with these filters, and with these values changed. None removes one."""
        query = {name: str(value) for name, value in {**self.given, **changed}.items() if value is not None}
        return f"?{urlencode(query)}"


def _shown(field: forms.Field, value: str) -> str:
    choices: dict[str, str] = dict(getattr(field, "choices", ()))
    return choices.get(value) or value.replace("T", " ")


def activity_url(*, since: datetime | None = None, until: datetime | None = None, **filters: object) -> str:
    """The Activity page with these filters, from a time on and before a time (UTC, to the minute). None means any."""
    ends = {name: end and f"{end:%Y-%m-%dT%H:%M}" for name, end in (("from", since), ("to", until))}
    query = {name: value for name, value in {**filters, **ends}.items() if value is not None}
    return reverse("admin:tasks_taskevent_changelist", query=query)
