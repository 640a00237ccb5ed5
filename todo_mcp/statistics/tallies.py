"""The numbers of calls by a column, of a time and of the time before, in one statement for several columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from psycopg import sql

from todo_mcp.statistics.services import FAILURES
from todo_mcp.statistics.spans import HOUR, Span

# The rows are read once and added up, so that each column reads few. A row is all calls of an hour. So the last hour of
# the time before counts in proportion. The sums are float8, because those of bigint and numeric are slow.
_TALLIES = """
WITH few AS MATERIALIZED (
    SELECT {columns}, hour >= {start} AS is_now,
        outcome <> 'success' AS is_error, outcome = ANY ({failures}) AS is_failure,
        sum(CASE WHEN hour = {last_hour} AND hour < {before_until} THEN n * {part} ELSE n END::float8) AS n
    FROM ({rows}) AS one
    WHERE hour >= {before} AND hour < {until} AND (hour >= {start} OR hour < {before_until})
    GROUP BY {columns}, is_now, is_error, is_failure
)
"""
_ONE_COLUMN = """
(SELECT {name}, {column},
    coalesce(sum(n) FILTER (WHERE is_now), 0) AS calls,
    coalesce(sum(n) FILTER (WHERE is_now AND is_error AND NOT is_failure), 0) AS refused,
    coalesce(sum(n) FILTER (WHERE is_now AND is_failure), 0) AS failed,
    coalesce(sum(n) FILTER (WHERE NOT is_now), 0) AS calls_before,
    coalesce(sum(n) FILTER (WHERE NOT is_now AND is_error), 0) AS errors_before
FROM few GROUP BY {column}
ORDER BY coalesce(sum(n) FILTER (WHERE is_now AND is_error), 0) DESC, calls DESC, {column}
LIMIT {limit})
"""


@dataclass(frozen=True)
class Tally:
    """Numbers of calls with the same ``value`` of a column, and of those in the time before."""

    value: str
    calls: int = 0
    refused: int = 0
    failed: int = 0
    calls_before: int = 0
    errors_before: int = 0

    @property
    def success(self) -> int:
        return self.calls - self.errors

    @property
    def errors(self) -> int:
        return self.refused + self.failed

    @property
    def share(self) -> float:
        """Errors of 100 calls."""
        return 100 * self.errors / self.calls if self.calls else 0.0

    @property
    def share_before(self) -> float:
        return 100 * self.errors_before / self.calls_before if self.calls_before else 0.0


def tallies(rows: QuerySet[Any], span: Span, columns: Sequence[str], limit: int) -> dict[str, list[Tally]]:
    """The tallies by each of the columns: most errors first, then most calls. One statement.

    Args:
        rows: rows with ``hour``, ``n`` calls, ``outcome`` and the columns.
        limit: for each column. A value without calls in the span comes last.
    """
    selected, parameters = rows.values("hour", "n", *dict.fromkeys([*columns, "outcome"])).query.sql_with_params()
    before, before_until = span.before
    last_hour = before_until.replace(minute=0, second=0, microsecond=0)
    values: dict[str, Any] = {"start": span.start, "until": span.until, "before": before, "before_until": before_until}
    values |= {"last_hour": last_hour, "part": (before_until - last_hour) / HOUR, "limit": limit}
    literals = {name: sql.Literal(value) for name, value in values.items()} | {"failures": sql.Literal(list(FAILURES))}
    by_columns = [
        sql.SQL(_ONE_COLUMN).format(name=sql.Literal(column), column=sql.Identifier(column), **literals)
        for column in columns
    ]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL(_TALLIES).format(columns=names, rows=sql.SQL(selected), **literals)
    statement += sql.SQL(" UNION ALL ").join(by_columns)
    found: dict[str, list[Tally]] = {column: [] for column in columns}
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), parameters)
        for column, value, *numbers in cursor.fetchall():
            found[column].append(Tally(value, *map(round, numbers)))
    return found


def summed(parts: Sequence[Tally]) -> Tally:
    """All of the tallies together."""
    names = [one.name for one in fields(Tally) if one.name != "value"]
    return Tally("", *(sum(getattr(part, name) for part in parts) for name in names))
