"""The form field for a person's time zone: a list of zones by region, which works without a script."""

from collections.abc import Sequence
from typing import Any

from django import forms

from todo_mcp.dates.zones import zones_by_region
from todo_mcp.users.models import ZONE_MAX, exact_zone, validate_time_zone

UNKNOWN = "Not known (days and times are read in UTC)"
_Choices = list[tuple[str, str | Sequence[tuple[str, str]]]]


def _choices(*others: str) -> _Choices:
    """The zones by region, and these other names, which are chosen or sent."""
    regions = zones_by_region()
    listed = {name for names in regions.values() for name in names} | {"", "UTC"}
    more = [(name, name) for name in dict.fromkeys(others) if name not in listed]
    places: _Choices = [(region, [(name, name) for name in names]) for region, names in regions.items()]
    return [("", UNKNOWN), *more, ("UTC", "UTC"), *places]


class ZoneField(forms.CharField):
    """Any IANA name is accepted. The list has one for each place; the value that is chosen is always in it."""

    def __init__(self, *, widget: type[forms.Select] = forms.Select, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=ZONE_MAX, label="Time zone", widget=widget, **kwargs)
        self.validators.append(validate_time_zone)

    def to_python(self, value: Any) -> str:
        return exact_zone(super().to_python(value) or "")

    def get_bound_field(self, form: Any, field_name: str) -> forms.BoundField:
        bound = super().get_bound_field(form, field_name)
        chosen = bound.value() or ""
        self.widget.choices = _choices(exact_zone(chosen)[:ZONE_MAX])
        return bound
