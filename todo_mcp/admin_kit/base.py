"""The base of our admin pages, which stay fast on tables of any size.

A list counts at most COUNT_MAX rows, has no drop-down of users, and accepts only the filters that its page offers.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property, reduce
from operator import or_
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import quote
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split, unescape_string_literal
from unfold.decorators import display
from unfold.views import ChangeList

from todo_mcp.admin_kit.actions import RowActionsAdmin
from todo_mcp.admin_kit.filters import FilterForm
from todo_mcp.admin_kit.parameters import positive as positive

COUNT_MAX = 10_000  # rows that a list counts; paging stops there too
WORDS_MAX = 10  # words that a search uses; the rest are ignored
WHOLE = 16  # characters that every column of a list has room for, however wide they are
EMPTY = format_html('<span class="todo-empty">{}</span>', "—")  # lists leave it out on a telephone


def isolated(text: object, marked: SafeString | None = None) -> SafeString:
    """Escape the text and isolate it, so that right-to-left text cannot reorder its surroundings.

    A list may cut a text of more than WHOLE characters. Its tooltip shows the whole text. ``marked`` is the text as
    escaped HTML with some words marked.
    """
    shown = format_html("<bdi>{}</bdi>", text if marked is None else marked)
    if len(str(text)) <= WHOLE:
        return shown
    return format_html('<span class="todo-cut" title="{}">{}</span>', text, shown)


def moment(when: datetime | None) -> SafeString | str:
    """A time in UTC, to the minute. The tooltip also shows the seconds."""
    if when is None:
        return EMPTY
    return format_html('<time title="{} UTC">{}</time>', f"{when:%Y-%m-%d %H:%M:%S}", f"{when:%Y-%m-%d %H:%M}")


Column = Callable[[Any, Any], SafeString | str]


def time_column(field: str, description: str, *, sortable: bool = False) -> Column:
    """An admin column that shows a time field of the row."""

    @admin.display(description=description, ordering=field if sortable else None)
    def show(_: Any, row: Any) -> SafeString | str:
        return moment(getattr(row, field))

    return show


def badge_column(description: str, colours: dict[str, str]) -> Callable[[Column], Column]:
    """A column of coloured labels. ``colours`` maps each text to success, info, warning or danger."""
    return cast(Callable[[Column], Column], display(description=description, label=colours))


def user_link(user_id: str) -> SafeString:
    """The user's id, as a link to the user's page."""
    url = reverse("admin:users_user_change", args=[quote(user_id)])
    return format_html('<a class="text-link" href="{}">{}</a>', url, isolated(user_id))


class BoundedPaginator(Paginator):  # type: ignore[type-arg] # generic to the type checker only
    """Pages through the first COUNT_MAX rows. Operators reach other rows by filter or search."""

    template_name = "admin/pagination_bounded.html"

    @cached_property
    def count(self) -> int:
        return cast("QuerySet[Any]", self.object_list).order_by()[:COUNT_MAX].count()

    @property
    def stopped(self) -> bool:
        """Whether counting stopped at the limit, so that there may be more rows."""
        return self.count >= COUNT_MAX


class BoundedChangeList(FilterForm, ChangeList):  # type: ignore[misc] # unfold publishes no types
    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count  # unfold's header shows a total, which was not counted
        rows: list[Any] = list(self.result_list)
        self.model_admin.prepare_rows(request, rows)
        self.result_list = rows


class SafeLookups(admin.ModelAdmin):  # type: ignore[type-arg] # generic to the type checker only
    """Mixin that refuses filters and ids that no page links to. They could make PostgreSQL or Django fail."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the page's own filters. Another lookup could scan the whole table or probe a secret."""
        fields = [spec for spec in self.list_filter if isinstance(spec, str)]
        names = [getattr(spec, "parameter_name", None) for spec in self.list_filter]
        names += [f"{spec[0]}_{end}" for spec in self.list_filter if isinstance(spec, tuple) for end in ("from", "to")]
        return (lookup in names or lookup.partition("__")[0] in fields) and "\0" not in value

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field or None)


class ReadOnly:
    """Mixin of a page on which nobody adds, edits or deletes rows. It may have actions of its own."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BaseAdmin(SafeLookups, RowActionsAdmin):
    """An admin page over a table of any size.

    ``search_fields`` are complete lookups. Each word of a search must match one of them.
    """

    search_user: ClassVar[str] = "user_id"  # the lookup that ``user:ID`` in a search uses
    list_per_page = 50
    list_max_show_all = 50
    list_filter_submit = True
    list_disable_select_all = True
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return BoundedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list. Its form also sends empty fields; the address without them is shorter, and means the same."""
        sent = [(name, value) for name, values in request.GET.lists() for value in values]
        used = [(name, value) for name, value in sent if value]
        if request.method == "GET" and len(used) < len(sent):
            return HttpResponseRedirect(f"{request.path}?{urlencode(used)}" if used else request.path)
        return super().changelist_view(request, extra_context)

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        """A hook that runs once for the rows of a list page. It may add values from other tables."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        for word in list(smart_split(search_term))[:WORDS_MAX]:
            queryset = queryset.filter(self.matching(word))
        return queryset, False

    def matching(self, word: str) -> Q:
        """The condition for one word of a search: ``user:ID``, the row's id, or a match in ``search_fields``."""
        prefix, _, user_id = word.partition(":")
        if prefix == "user" and user_id:
            return Q((self.search_user, _unquoted(user_id)))
        word = _unquoted(word)
        condition = reduce(or_, [Q((lookup, word)) for lookup in self.search_fields])
        has_number = self.model._meta.pk.get_internal_type() == "BigAutoField"
        return condition | Q(pk=number) if has_number and (number := positive(word)) else condition

    @admin.display(description="user")
    def owner(self, row: Any) -> SafeString | str:
        return user_link(row.user_id)


def _unquoted(word: str) -> str:
    return unescape_string_literal(word) if word[:1] in ('"', "'") and word[:1] == word[-1:] and len(word) > 1 else word
