"""List filters: a typed user id, a range of days, and how a list shows its filters in one form."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from django import forms
from django.contrib.admin import FieldListFilter, ListFilter
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

    def __init__(self, field: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, *args, **kwargs)
        self.title: str = str(field.verbose_name).removesuffix(" at")  # "created", for the field ``created_at``

    def in_words(self) -> str:
        """The range, for the list of active filters."""
        days = {end: self.used_parameters.get(f"{self.field_path}_{end}") for end in ("from", "to")}
        return " ".join(f"{end} {day}" for end, day in days.items() if day)

    def _day(self, end: str) -> datetime | None:
        return start_of_day(self.used_parameters.get(f"{self.field_path}_{end}", ""))


def start_of_day(text: str) -> datetime | None:
    """The start of the UTC day that a filter names. None if the text is not a day, or if no day follows it."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return datetime.combine(day, time.min, UTC) if day < date.max else None


def by_days(field: str) -> tuple[str, type[FieldListFilter]]:
    """An entry of ``list_filter`` that filters by the days of this field."""
    return field, DaysFilter


@dataclass(frozen=True)
class Option:
    """A choice of a filter. The value of the first one, which shows all rows, is empty."""

    value: str
    label: str
    selected: bool


@dataclass(frozen=True)
class Choice:
    """A filter as a drop-down."""

    title: str
    name: str
    options: list[Option]


@dataclass(frozen=True)
class ActiveFilter:
    """A filter that narrows the list, and the list's address without it."""

    title: str
    value: str
    remove_url: str


class FilterForm:
    """Mixin of a change list: its filters as fields of one form, together with its search and its order."""

    filter_specs: list[Any]
    filter_params: dict[str, list[str]]

    def filter_fields(self) -> Iterator[tuple[Any, Choice | None]]:
        """Each filter, and its drop-down. The latter is None if the filter has a template of its own."""
        return ((spec, self._choice(spec)) for spec in self.filter_specs)

    def active_filters(self) -> list[ActiveFilter]:
        return [
            ActiveFilter(_title(spec), self._in_words(spec), self._address_without(spec.expected_parameters()))
            for spec in self.filter_specs
            if self._used(spec)
        ]

    def kept_parameters(self) -> list[tuple[str, str]]:
        """What the form sends besides its fields: the order."""
        fields = {"q", *self._filter_names()}
        return [(name, value) for name, values in self.filter_params.items() if name not in fields for value in values]

    def without_filters_url(self) -> str:
        return self._address_without(self._filter_names())

    def _filter_names(self) -> list[str]:
        return [name for spec in self.filter_specs for name in spec.expected_parameters()]

    def _used(self, spec: Any) -> list[str]:
        return [value for name in spec.expected_parameters() for value in self.filter_params.get(name, ()) if value]

    def _choice(self, spec: Any) -> Choice | None:
        """A choice of Django's sets one parameter, and the first choice sets none."""
        if spec.template != ListFilter.template:
            return None
        name = spec.expected_parameters()[0]
        options = [
            Option(parse_qs(choice["query_string"][1:]).get(name, [""])[-1], str(choice["display"]), choice["selected"])
            for choice in spec.choices(self)
        ]
        return Choice(_title(spec), name, options)

    def _in_words(self, spec: Any) -> str:
        if isinstance(spec, DaysFilter):
            return spec.in_words()
        used = self._used(spec)
        choice = self._choice(spec)
        labels = [option.label for option in choice.options if option.value in used] if choice else []
        return ", ".join(labels or used)

    def _address_without(self, names: list[str]) -> str:
        kept = {name: values for name, values in self.filter_params.items() if name not in names}
        return "?" + urlencode(kept, doseq=True)


def _title(spec: Any) -> str:
    title = str(spec.title)
    return title[:1].upper() + title[1:]
