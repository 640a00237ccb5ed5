"""The address of the page of calls. It holds all filters, so each view of the page has a link."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from todo_mcp.admin_kit.base import positive
from todo_mcp.statistics.reports import CallFilter
from todo_mcp.statistics.spans import SPANS, Span, span_at, span_of

FILTERS = ("at", "tool", "outcome", "client", "field", "user", "token", "request")


class NotUnderstood(Exception):
    """The page does not know a filter of the address, or cannot use its value. The message is the filter's name."""


@dataclass(frozen=True)
class Address:
    """One view of the page.

    ``given`` are the filters as they stand in the address. The page counts the calls of ``span`` and draws the bars of
    ``chart``, which is longer if an hour of it is open.
    """

    given: dict[str, str]
    chart: Span
    span: Span
    which: CallFilter
    page: str

    def link(self, **changes: str | int | None) -> str:
        """The address of the same view with other filters; None removes a filter. It begins with the first page."""
        return f"?{urlencode({name: text for name, text in {**self.given, **changes}.items() if text is not None})}"


def parse(query: QueryDict, now: datetime) -> Address:
    """Read an address.

    Raises:
        NotUnderstood: names the filter.
    """
    given: dict[str, str] = {"span": "today", **{name: str(query[name]) for name in query if name != "page"}}
    for name, text in given.items():
        if name not in ("span", *FILTERS) or "\0" in text:
            raise NotUnderstood(name)
    if given["span"] not in SPANS:
        raise NotUnderstood("span")
    chart = span = span_of(given["span"], now)
    if at := given.get("at"):
        try:
            chart, span = span_at(at[:10], now), span_at(at, now)
        except ValueError:
            raise NotUnderstood("at") from None
    return Address(given, chart, span, _which(given), query.get("page", ""))


def _which(given: dict[str, str]) -> CallFilter:
    values: dict[str, Any] = {name: text for name, text in given.items() if name not in ("span", "at")}
    if "token" in given and (token := positive(given["token"])) is None:
        raise NotUnderstood("token")
    return CallFilter(**values | ({"token": token} if "token" in given else {}))


def calls_url(**filters: str) -> str:
    """The page of calls with these filters."""
    return f"{reverse('admin:statistics_callstatistics_changelist')}?{urlencode(filters)}"
