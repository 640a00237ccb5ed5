"""The statement of a list: the page, the total and what the message needs, in one.

``me`` is the user. ``many`` counts the entries of an index. If they are few, ``narrow`` has their tasks, and everything
is found among them. Otherwise the tasks are read in the order of the list until the page is full. ``READ_MAX`` bounds
that: then a row with ``is_end`` says where the reading ended. ``is_bare`` says that this was among the tasks without
due date or priority, whatever the row itself has.

A bound is a subquery, so that the planner does not see it. It might otherwise expect most rows of a user, and read and
sort them all.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby

from django.db.models.expressions import Subquery

from tasks.lists import changes
from tasks.lists.scans import Scan, conditions, left_out_scans, narrow_scans, newest_scans, sorted_scans, task_of
from tasks.lists.shapes import Shape
from tasks.rows import COLUMNS, USUAL
from todo_mcp.postgres.statements import Parameter, Sql, Statement, UserId

TOTAL_MAX = 1_000  # tasks that a total counts, and tasks of one filter that are sorted
FEW_DAYS_MAX = 5_000  # tasks of few days that are sorted
READ_MAX = 20_000  # rows that are read to fill a page, or to count
COUNT_COLUMNS = ("completed", "due_on", "due_at", "priority", "tags")
_NARROW_COLUMNS = ("id", "completed", "due_on", "due_at", "priority", "created_at")
_NAME = re.compile(r"%\((\w+)\)s")


@lru_cache(maxsize=512)
def statement(shape: Shape) -> Statement:
    """The statement of lists of this shape. It returns at least one row, unless the user is NULL."""
    return Statement(lambda user: _bind(_Writer(shape).write(), user))


def _bind(text: str, user: UserId) -> Sql:
    """Put the parameters in place of their names."""
    user_sql, user_params = user.query.sql_with_params() if isinstance(user, Subquery) else ("%s::text", (user,))
    parts = _NAME.split(text)
    params: list[object] = []
    for place in range(1, len(parts), 2):
        name = parts[place]
        params += user_params if name == "user" else [Parameter(name)]
        parts[place] = f"({user_sql})" if name == "user" else "%s"
    return "".join(parts), params


class _Writer:
    """Writes the SQL of one shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.conditions = conditions(shape)
        self.ctes = ["me AS MATERIALIZED (SELECT %(user)s AS id)"]
        self.narrow = narrow_scans(shape)
        # No index has the deleted tasks by due date or priority: sort as many of them as may be read.
        self.sorts_trash = shape.status == "deleted" and shape.sort in ("due", "priority")
        # Few days may be far from the newest tasks, so it is better to sort more of what they have.
        self.narrow_max = min(FEW_DAYS_MAX if shape.is_short else TOTAL_MAX, READ_MAX)
        self.searches = shape.search and not shape.task_id
        self.may_overflow = bool(self.narrow) and not (shape.task_id or self.sorts_trash or self.searches)

    def write(self) -> str:
        shape = self.shape
        if self.sorts_trash and not shape.task_id:
            self.narrow = newest_scans(shape)
        if self.searches:
            self._add_found("narrow", goes_on=self._search_goes_on())
        elif self.narrow:
            self._add_narrow()
        page = self._add_page()
        total = self._total()
        left_out = self._left_out() if shape.left_out else "NULL::bigint"
        columns = [_column(name) for name in (COUNT_COLUMNS if shape.counts else COLUMNS)]
        joins = [f"LEFT JOIN {task_of('page.id')} ON true"]
        if shape.sort == "updated":
            columns += ["page.event_at", "page.event_id", *changes.COLUMNS]
            joins.append(changes.JOIN)
        return (
            f"WITH {', '.join(self.ctes)} "
            f"SELECT {total}, {left_out}, page.matches, page.is_end, page.is_bare, {', '.join(columns)} "
            f"FROM (SELECT FROM me WHERE id IS NOT NULL) me LEFT JOIN ({page}) page ON true {' '.join(joins)}"
            # The first rows of several scans together. Other lists are sorted by the worker.
            f"{' ORDER BY t.created_at DESC, t.id DESC' if shape.counts else ''}"
        )

    def _rest(self, scan: Scan) -> list[str]:
        """What must still be checked of the rows of a scan."""
        return [*scan.check, *(sql for name, sql in self.conditions.items() if name not in scan.serves)]

    def _add_narrow(self) -> None:
        limit = READ_MAX if self.sorts_trash else self.narrow_max + 1
        guard = ""
        many = f"many AS MATERIALIZED (SELECT count(*) AS n, count(*) > {self.narrow_max} AS yes FROM {{}})"
        # An index has all that is needed, so it is read once. Otherwise it first tells whether the tasks are few.
        is_covered = self.shape.due == "span" and not any(self._rest(scan) for scan in self.narrow)
        if self.may_overflow and not is_covered:
            rows = _union(f"({scan.ids('t.id', f'(SELECT {limit})')})" for scan in self.narrow)
            self.ctes.append(many.format(f"(SELECT FROM ({rows}) t LIMIT (SELECT {limit})) t"))
            guard = " AND NOT (SELECT yes FROM many)"
        parts = []
        for scan in self.narrow:
            is_ok = " AND ".join(self._rest(scan)) or "true"
            columns = ", ".join(f"t.{name}" for name in self._needed())
            parts.append(
                f"SELECT {columns}, ({is_ok}) IS TRUE AS ok FROM ({scan.rows(f'(SELECT {limit})', guard=guard)}) t"
            )
        self.ctes.append(f"narrow AS MATERIALIZED (SELECT * FROM ({_union(parts)}) t LIMIT (SELECT {limit}))")
        if self.may_overflow and is_covered:
            self.ctes.append(many.format("narrow"))

    def _needed(self) -> list[str]:
        """The columns of ``narrow`` that the page needs. PostgreSQL reads the index alone if that has them all."""
        scans = [] if self.shape.sort == "updated" else sorted_scans(self.shape)
        text = " ".join(sql for scan in scans for sql in (*scan.where, *scan.check, scan.order))
        return [name for name in _NARROW_COLUMNS if name == "id" or f"t.{name}" in text]

    def _search_goes_on(self) -> bool:
        """Whether the search of this page begins where the page before ended."""
        return bool(self.shape.after) and self.shape.sort == "newest"

    def _add_found(self, name: str, *, goes_on: bool) -> None:
        """Add the tasks that the search finds. It finds the newest first; for another order it must find all."""
        shape = self.shape
        after = "%(after_at)s::timestamptz, %(after_id)s::bigint" if goes_on else "NULL, NULL"
        maximum = TOTAL_MAX + 1 if shape.sort == "newest" else READ_MAX
        rest = " AND ".join(sql for key, sql in self.conditions.items() if key not in ("status", "search")) or "true"
        columns = ", ".join(f"t.{column}" for column in _NARROW_COLUMNS)
        found = _union(
            "SELECT * FROM tasks_found((SELECT id FROM me), %(terms)s::text[], %(without)s::text[], %(tag)s::text, "
            f"'{status}', false, {after}, {maximum})"
            for status in (("all", "deleted") if shape.status == "any" else (shape.status,))
        )
        self.ctes += [
            f"{name}_ids AS MATERIALIZED ({found})",
            f"{name} AS MATERIALIZED (SELECT {columns}, ({rest}) IS TRUE AS ok "
            f"FROM {name}_ids CROSS JOIN LATERAL unnest({name}_ids.ids) found (id) "
            f"CROSS JOIN {task_of('found.id')})",
        ]

    def _add_page(self) -> str:
        """Add each scan of the page. Returns the query for their rows."""
        if self.shape.sort == "updated":
            parts = [changes.narrow_page(self.shape, self.may_overflow)] if self.has_narrow else []
            if self.may_overflow or not self.has_narrow:
                checks = " AND ".join(sql for sql in self.conditions.values())
                parts.append(changes.page(self.shape, checks, READ_MAX, self._guard()))
            return _union(f"({part})" for part in parts)
        scans = sorted_scans(self.shape)
        budget = READ_MAX // max(1, sum(bool(self._rest(scan)) for scan in scans))
        names: list[str] = []
        for _, group in groupby(scans, key=lambda scan: scan.group):
            limit = "%(limit)s::bigint + 1"
            if names:  # only what the earlier groups leave room for
                rows = _union(f"SELECT is_end FROM {name}" for name in names)
                limit = (
                    f"CASE WHEN bool_or(is_end) THEN 0 ELSE greatest(0, {limit} - count(*)) END FROM ({rows}) earlier"
                )
            first = len(names)
            for number, scan in enumerate(group, first):
                self.ctes.append(f"page{number} AS MATERIALIZED ({self._page_of(scan, f'(SELECT {limit})', budget)})")
                names.append(f"page{number}")
        if self.searches and self.shape.sort == "newest":
            names.append(
                "(SELECT reached_id, false, true, false FROM narrow_ids "
                "WHERE stopped AND reached_id IS NOT NULL AND (SELECT count(*) FROM page0) <= %(limit)s::bigint) t"
            )
        return (
            _union(f"SELECT * FROM {name}" for name in names)
            or "SELECT NULL::bigint AS id, false AS matches, false AS is_end, false AS is_bare WHERE false"
        )

    def _page_of(self, scan: Scan, limit: str, budget: int) -> str:
        parts = []
        is_bare = _is_bare(scan)
        if self.has_narrow:
            where = " AND ".join(
                ["t.ok", *scan.where, *scan.check, *(["NOT (SELECT yes FROM many)"] * self.may_overflow)]
            )
            parts.append(
                f"(SELECT t.id, true AS matches, false AS is_end, {is_bare} AS is_bare FROM narrow t WHERE {where} "
                f"ORDER BY {scan.order} LIMIT {limit})"
            )
        if self.may_overflow or not self.has_narrow:
            parts.append(f"({self._walk(scan, limit, budget)})")
        return _union(parts)

    @property
    def has_narrow(self) -> bool:
        return self.searches or bool(self.narrow)

    def _guard(self) -> str:
        return " AND (SELECT yes FROM many)" if self.may_overflow else ""

    def _walk(self, scan: Scan, limit: str, budget: int) -> str:
        """Read the scan in its order, until ``limit`` rows are found or ``budget`` rows are read."""
        guard = self._guard()
        rest, is_bare = self._rest(scan), _is_bare(scan)
        if not rest:
            columns = f"t.id, true AS matches, false AS is_end, {is_bare} AS is_bare"
            return scan.ids(columns, limit, guard=guard)
        return (
            f"SELECT id, matches, is_end, {is_bare} AS is_bare "
            f"FROM (SELECT t.id, ({' AND '.join(rest)}) IS TRUE AS matches, "
            f"row_number() OVER () = {budget} AS is_end "
            f"FROM ({scan.rows(f'(SELECT {budget})', guard=guard)}) t) t WHERE matches OR is_end LIMIT {limit}"
        )

    def _total(self) -> str:
        """The number of tasks on all pages, at most ``TOTAL_MAX`` + 1, and whether the counting ended early."""
        limit = TOTAL_MAX + 1
        if self.searches:
            return self._total_found()
        if self.narrow:
            ended = f"count(*) >= {READ_MAX}" if self.sorts_trash else "false"
            few = f"SELECT count(*) FILTER (WHERE ok) AS n, {ended} AS ended FROM narrow"
            if not self.may_overflow:
                self.ctes.append(f"total AS MATERIALIZED ({few})")
                return "(SELECT n FROM total), (SELECT ended FROM total)"
            if not any(self._rest(scan) for scan in self.narrow):
                return "(SELECT n FROM many), false"
        scans = newest_scans(self.shape)
        budget = READ_MAX // len(scans)
        walks = _union(
            f"(SELECT matches, is_end FROM ({self._walk(scan, f'(SELECT {limit})', budget)}) t)" for scan in scans
        )
        total = (
            f"SELECT count(*) FILTER (WHERE matches) AS n, coalesce(bool_or(is_end), false) AS ended FROM ({walks}) t"
        )
        if self.narrow:
            total = (
                f"SELECT * FROM ({total}) t WHERE (SELECT yes FROM many) "
                f"UNION ALL SELECT * FROM ({few}) t WHERE NOT (SELECT yes FROM many)"
            )
        self.ctes.append(f"total AS MATERIALIZED ({total})")
        return "(SELECT n FROM total), (SELECT ended FROM total)"

    def _total_found(self) -> str:
        name = "narrow"
        if self._search_goes_on():
            name = "all_found"
            self._add_found(name, goes_on=False)
        count = f"(SELECT count(*) FROM {name} WHERE ok)"
        ended = f"coalesce((SELECT bool_or(stopped) FROM {name}_ids), false)"
        if self.shape.sort == "newest":  # the search also stops when it has found enough for the total
            ended += f" AND {count} <= {TOTAL_MAX}"
        return f"{count}, {ended}"

    def _left_out(self) -> str:
        parts = []
        for scan in left_out_scans():
            rest = self._rest(scan)
            parts.append(
                f"SELECT ({' AND '.join(rest) or 'true'}) IS TRUE AS ok FROM ({scan.rows(f'(SELECT {TOTAL_MAX})')}) t"
            )
        return f"(SELECT count(*) FROM ({_union(parts)}) t WHERE ok)"


def _column(name: str) -> str:
    return f"NULLIF(t.{name}, {USUAL[name]})" if name in USUAL else f"t.{name}"


def _is_bare(scan: Scan) -> str:
    """Whether the place of a row in this scan has no due date and no priority, whatever the row has."""
    return "true" if scan.check else "false"


def _union(parts: Iterable[str]) -> str:
    return " UNION ALL ".join(parts)
