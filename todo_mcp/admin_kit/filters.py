"""List filters without a list of choices, which could be very long: a typed user id, and a range of days."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.admin import FieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateFilter, TextFilter
from unfold.widgets import UnfoldAdminTextInputWidget


class UserFilter(TextFilter):  # type: ignore[misc] # unfold publishes no types
    """By a user's exact id. It is typed, because a drop-down of all users could be very long."""

    title = "user id"
    parameter_name = "user"
    template = "admin/filter_text.html"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(user_id=self.value()) if self.value() else queryset


class DaysForm(forms.Form):
    """The first and the last day, chosen with the browser's date picker."""

    def __init__(self, name: str, data: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        for end, label in (("from", "From"), ("to", "To")):
            widget = UnfoldAdminTextInputWidget(attrs={"type": "date"})
            self.fields[f"{name}_{end}"] = forms.DateField(label=label, required=False, widget=widget)


class DaysFilter(RangeDateFilter):  # type: ignore[misc] # unfold publishes no types
    """By the UTC day of a time field. Both days are included."""

    form_class = DaysForm
    template = "admin/filter_days.html"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self._day(end) for end in ("from", "to"))
        if first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": first})
        if last:
            queryset = queryset.filter(**{f"{self.field_path}__lt": last + timedelta(days=1)})
        return queryset

    def _day(self, end: str) -> datetime | None:
        try:
            day = date.fromisoformat(self.used_parameters.get(f"{self.field_path}_{end}", ""))
        except ValueError:
            return None
        return datetime.combine(day, time.min, UTC) if day < date.max else None


def by_days(field: str) -> tuple[str, type[FieldListFilter]]:
    """An entry of ``list_filter`` that filters by the days of this field."""
    return field, DaysFilter
