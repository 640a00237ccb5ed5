"""The base of our admin pages: they stay fast on tables of any size.

A list counts COUNT_MAX rows at most, offers no drop-down of users, and filters only by what its page shows.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property, reduce
from operator import or_
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import quote
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split, unescape_string_literal
from unfold.decorators import display
from unfold.views import ChangeList

from todo_mcp.admin_kit.actions import RowActionsAdmin

COUNT_MAX = 10_000  # rows that a list counts, and so can page through
WORDS_MAX = 10  # words of a search
ID_DIGITS = 18  # every number of so many digits fits PostgreSQL's bigint


def isolated(text: object) -> SafeString:
    """The text escaped, and isolated so that its direction cannot reorder what stands beside it."""
    return format_html("<bdi>{}</bdi>", text)


def moment(when: datetime | None) -> SafeString | str:
    """A time in UTC, to the minute; the seconds are in the tooltip."""
    if when is None:
        return "—"
    return format_html('<time title="{} UTC">{}</time>', f"{when:%Y-%m-%d %H:%M:%S}", f"{when:%Y-%m-%d %H:%M}")


Column = Callable[[Any, Any], SafeString | str]


def time_column(field: str, description: str, *, sortable: bool = False) -> Column:
    """A column with a time of the row."""

    @admin.display(description=description, ordering=field if sortable else None)
    def show(_: Any, row: Any) -> SafeString | str:
        return moment(getattr(row, field))

    return show


def badge_column(description: str, colours: dict[str, str]) -> Callable[[Column], Column]:
    """A column with one of a few words, each in unfold's colour for it: success, info, warning or danger."""
    return cast(Callable[[Column], Column], display(description=description, label=colours))


def user_link(user_id: str) -> SafeString:
    """The user's id, leading to the user's page."""
    url = reverse("admin:users_user_change", args=[quote(user_id)])
    return format_html('<a class="text-link" href="{}">{}</a>', url, isolated(user_id))


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # generic to the type checker only
    """Pages through the first COUNT_MAX rows; the rest are found by filter and search."""

    template_name = "admin/pagination_bounded.html"

    @cached_property
    def count(self) -> int:
        return cast("QuerySet[Any]", self.object_list).order_by()[:COUNT_MAX].count()

    @property
    def stopped(self) -> bool:
        """Whether counting stopped, and there may be more rows."""
        return self.count >= COUNT_MAX


class BoundedChangeList(ChangeList):  # type: ignore[misc] # unfold publishes no types
    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count  # unfold's header would tell of a total that nobody counted
        rows: list[Any] = list(self.result_list)
        self.model_admin.loaded(request, rows)
        self.result_list = rows


class SafeLookups(admin.ModelAdmin):  # type: ignore[type-arg] # generic to the type checker only
    """Mixin that refuses filters and ids that no page links to, because PostgreSQL or Django would fail over them."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter of the page offers: another lookup could scan without bound or probe a secret."""
        fields = [spec for spec in self.list_filter if isinstance(spec, str)]
        names = [getattr(spec, "parameter_name", None) for spec in self.list_filter]
        names += [f"{spec[0]}_{end}" for spec in self.list_filter if isinstance(spec, tuple) for end in ("from", "to")]
        return (lookup in names or lookup.partition("__")[0] in fields) and "\0" not in value

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field or None)


class BaseAdmin(SafeLookups, RowActionsAdmin):
    """An admin page over a table of any size. ``search_fields`` are lookups; each word must match one of them."""

    search_user: ClassVar[str] = "user_id"  # the lookup behind ``user:ID`` in a search
    list_per_page = 50
    list_max_show_all = 50
    list_filter_submit = True
    list_disable_select_all = True
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return BoundedChangeList

    def loaded(self, request: HttpRequest, rows: list[Any]) -> None:
        """Add to the rows of a list, all at once, what its columns show beyond the table."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        for word in list(smart_split(search_term))[:WORDS_MAX]:
            queryset = queryset.filter(self.matching(word))
        return queryset, False

    def matching(self, word: str) -> Q:
        """Rows that a word of a search finds: ``user:ID`` exactly, the row's id, or a match in ``search_fields``."""
        prefix, _, user_id = word.partition(":")
        if prefix == "user" and user_id:
            return Q((self.search_user, _unquoted(user_id)))
        word = _unquoted(word)
        found = reduce(or_, [Q((lookup, word)) for lookup in self.search_fields])
        has_number = self.model._meta.pk.get_internal_type() == "BigAutoField"
        return found | Q(pk=number) if has_number and (number := positive(word)) else found

    @admin.display(description="user")
    def owner(self, row: Any) -> SafeString | str:
        return user_link(row.user_id)


def positive(given: str | None) -> int | None:
    """The id that a person or a link wrote, or None where it is none."""
    return int(given) if given and given.isascii() and given.isdigit() and len(given) <= ID_DIGITS else None


def _unquoted(word: str) -> str:
    return unescape_string_literal(word) if word[:1] in ('"', "'") and word[:1] == word[-1:] and len(word) > 1 else word
