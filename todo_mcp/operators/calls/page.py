"""What the page of calls shows for an address: figures, bars, tables that narrow, and the kept lines."""

from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest

from tasks.operators.activity_form import activity_url
from todo_mcp.admin_kit.filters import ActiveFilter
from todo_mcp.admin_kit.site import may_view
from todo_mcp.auth.revocation import known_tokens
from todo_mcp.core.operations import REGISTRY
from todo_mcp.operators.calls.address import FILTERS, Address
from todo_mcp.operators.calls.chart import chart_of
from todo_mcp.statistics import reports
from todo_mcp.statistics.models import RefusedCall
from todo_mcp.statistics.refused_calls import RETENTION
from todo_mcp.statistics.spans import SPANS
from todo_mcp.statistics.tallies import Tally, summed, tallies

ROWS = 20  # rows of a table
LINES = 25  # kept calls on a page
SIGN_IN = "Refused at sign-in"  # requests that were refused before any tool
LABELS = {
    "at": "Time",
    "tool": "Tool",
    "outcome": "Outcome",
    "client": "Client (self-reported)",
    "field": "Wrong field",
    "user": "User",
    "token": "Token",
    "request": "Request",
}
OUTCOMES = {"": "All calls", "success": "Success", "errors": "Errors", "refused": "Refused", "failed": "Failed"}


@dataclass(frozen=True)
class Row:
    """A row of a table that narrows. Each number of ``tally`` has a link, by its name."""

    label: str
    tally: Tally
    links: dict[str, str]

    @property
    def rises(self) -> bool:
        return self.tally.errors > self.tally.errors_before


@dataclass(frozen=True)
class Table:
    """Calls by one filter.

    ``is_of_kept``: it is about kept calls, none of which was successful. ``has_kinds``: its rows tell success, refusals
    and failures apart. ``has_shares``: also the share of errors. ``has_before``: the time before is known.
    """

    name: str
    rows: list[Row]
    is_of_kept: bool
    has_kinds: bool
    has_shares: bool
    has_before: bool

    @property
    def title(self) -> str:
        return LABELS[self.name]

    @property
    def is_full(self) -> bool:
        """Whether there may be more rows than the table shows."""
        return len(self.rows) == ROWS


def page_context(request: HttpRequest, address: Address) -> dict[str, Any]:
    """The context of the template. At most 8 queries."""
    counted = reports.calls(address.which)
    found = tallies(counted, address.span, ["tool", "client", "outcome"], ROWS)
    errors = sum(tally.errors for tally in found["tool"] if tally.value)
    has_lines = address.which.tool != "" and address.which.outcome != "success"
    return {
        "address": address,
        "spans": [(label, address.link(span=name, at=None), _is_open(address, name)) for name, label in SPANS.items()],
        "filters": _filters(address),
        "none_url": f"?span={address.given['span']}",
        "outcomes": _outcomes(address, found["tool"]),
        "chart": chart_of(address, reports.bars(counted, address.chart)),
        "activity_url": _activity_url(request, address),
        "tables": [
            *(_table(address, name, one, is_of_kept=address.which.is_of_kept) for name, one in found.items()),
            *(_kept_tables(request, address) if has_lines else []),
        ],
        **(_lines(request, address, errors) if has_lines else {}),
    }


def may_see(request: HttpRequest, name: str) -> bool:
    """Whether the operator may see the values of this filter."""
    needed = {"user": "users.user", "token": "oauth2_provider.accesstoken"}.get(name)
    return needed is None or may_view(needed)(request)


def _is_open(address: Address, name: str) -> bool:
    return address.given["span"] == name and "at" not in address.given


def _filters(address: Address) -> list[ActiveFilter]:
    given = [(name, address.given[name]) for name in FILTERS if name in address.given]
    return [ActiveFilter(LABELS[name], _label(name, value), address.link(**{name: None})) for name, value in given]


def _label(name: str, value: str) -> str:
    """A value of a filter as the page shows it."""
    if name == "at":
        return f"{value.replace('T', ' ')}{':00' if 'T' in value else ''} UTC"
    if name == "outcome" and value in OUTCOMES:
        return OUTCOMES[value]
    return value or {"tool": SIGN_IN, "client": "no name"}.get(name, "none")


def _outcomes(address: Address, by_tool: list[Tally]) -> dict[str, Any]:
    """The numbers of all outcomes, each with its address, and the share of errors against the time before."""
    if address.which.outcome is None:
        tally = summed(by_tool)
    else:
        tally = reports.total(reports.calls(replace(address.which, outcome=None)), address.span)
    numbers = {"": tally.calls, **{kind: getattr(tally, kind) for kind in ("success", "errors", "refused", "failed")}}
    links = [
        (label, numbers[kind], address.link(outcome=kind or None), kind == (address.which.outcome or ""))
        for kind, label in OUTCOMES.items()
    ]
    return {"tally": tally, "links": links, "before": address.span.before}


def _kept_tables(request: HttpRequest, address: Address) -> list[Table]:
    """By wrong field, and by user if the operator may see users."""
    found = tallies(reports.wrong_fields(address.which), address.span, ["field"], ROWS)
    if may_see(request, "user"):
        rows = reports.calls_of_users(address.which)
        found["user"] = tallies(rows, address.span, ["user_id"], ROWS)["user_id"]
    return [_table(address, name, one, is_of_kept=True) for name, one in found.items()]


def _table(address: Address, name: str, found: list[Tally], *, is_of_kept: bool) -> Table:
    rows = []
    for tally in (tally for tally in found if tally.calls):
        here = {name: tally.value}
        links = {kind: address.link(**here | {"outcome": kind}) for kind in ("success", "refused", "failed")}
        rows.append(Row(_label(name, tally.value), tally, links | {"calls": address.link(**here)}))
    has_kinds = name in ("tool", "client")
    return Table(
        name,
        rows,
        is_of_kept,
        has_kinds,
        has_shares=has_kinds and not is_of_kept and address.which.outcome is None,
        has_before=not is_of_kept or address.span.before[0] >= address.span.now - RETENTION,
    )


def _activity_url(request: HttpRequest, address: Address) -> str:
    """The page of the changes that the counted calls made. Empty if they made none, or the operator may not see it."""
    which = address.which
    writes = which.tool is None or (which.tool in REGISTRY and not REGISTRY[which.tool].read_only)
    if which.is_of_kept or which.outcome not in (None, "success") or not (writes and may_view("tasks.task")(request)):
        return ""
    return activity_url(since=address.span.start, until=address.span.end, tool=which.tool, client=which.client)


def _lines(request: HttpRequest, address: Address, errors: int) -> dict[str, Any]:
    """The kept calls, paged, and how many ``errors`` were counted but not kept."""
    lines = Paginator(reports.lines(address.which, address.span), LINES).get_page(address.page)
    lines.object_list = list(lines.object_list)
    return {
        "lines": lines,
        "newer": address.link(page=lines.number - 1) if lines.has_previous() else "",
        "older": address.link(page=lines.number + 1) if lines.has_next() else "",
        "missing": max(0, errors - lines.paginator.count),
        "errors": errors,
        "sees_users": may_see(request, "user"),
        "sees_tokens": may_see(request, "token"),
        "tokens": _tokens(request, lines.object_list),
    }


def _tokens(request: HttpRequest, calls: list[RefusedCall]) -> set[int]:
    """Those of the calls' tokens that have a page which the operator may see."""
    if not may_see(request, "token"):
        return set()
    return set(known_tokens(call.token_id for call in calls if call.token_id))
