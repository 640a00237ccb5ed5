"""Checks how PostgreSQL executes a piece of work: how much it reads, and how it plans to.

PostgreSQL itself counts the reads. So the counts include triggers, foreign keys, and every way to send a statement.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from todo_mcp.postgres.wall import behind_wall

READ_MAX = 1_300  # entries of one index or rows of one table: enough for a total, a page, and some more
SORTED_MAX = 100  # rows, by PostgreSQL's estimate

_READ = """
SELECT relname, CASE WHEN relkind = 'r' THEN pg_stat_get_xact_numscans(oid) ELSE 0 END,
    greatest(pg_stat_get_xact_tuples_returned(oid), pg_stat_get_xact_tuples_fetched(oid))
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
"""
_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
# A plan for these values, as for the first calls; a plan for any values, as for a prepared statement.
_MODES = ("force_custom_plan", "force_generic_plan")


def complaints(
    work: Callable[[], Any], read_max: int = READ_MAX, sorted_max: int = SORTED_MAX, *, user_id: str | None = None
) -> list[str]:
    """Problems in how PostgreSQL executes the work: a table read from end to end, too many rows read, rows sorted.

    The work is done two to four times and rolled back, in the caller's transaction. It is done behind the wall of the
    user, if one is given. A policy can change a plan.
    """
    problems: dict[str, None] = {}
    for mode in _MODES:
        found = _problems(work, mode, read_max, sorted_max, user_id)
        # A plan may look for the last entry of an index. It then passes, once, over entries that were rolled back.
        problems |= dict.fromkeys(found and _problems(work, mode, read_max, sorted_max, user_id))
    return list(problems)


def _problems(work: Callable[[], Any], mode: str, read_max: int, sorted_max: int, user_id: str | None) -> list[str]:
    """The problems with plans of one mode."""
    connection.queries_log.clear()  # when it is full, Django warns
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        before = _read(cursor)
        with CaptureQueriesContext(connection) as captured, behind_wall(user_id):
            work()
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # includes the checks that the commit would make
        problems = list(_excess(before, _read(cursor), read_max))
        with behind_wall(user_id):
            for query in captured.captured_queries:
                problems += _sorts(cursor, query["sql"] or "", sorted_max)
        transaction.set_rollback(True)
    return problems


def _read(cursor: Any) -> dict[str, tuple[int, int]]:
    """For each table and index: how often it was read from end to end, and how many rows or entries were read."""
    cursor.execute(_READ)
    return {name: (scans, rows) for name, scans, rows in cursor.fetchall()}


def _excess(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], read_max: int) -> Iterator[str]:
    for name, (scans, rows) in after.items():
        read = rows - before[name][1]
        if scans > before[name][0]:
            yield f"{name} was read from end to end: {read} rows"
        elif read > read_max:
            yield f"{name}: {read} entries were read"


def _sorts(cursor: Any, sql: str, sorted_max: int) -> Iterator[str]:
    if not sql.lstrip().startswith(_PLANNED):
        return
    generic = "%s" in sql  # a prepared statement, without its values
    if generic and connection.connection.info.server_version < 160000:  # GENERIC_PLAN exists since 16
        return
    numbers = iter(range(1, 100))
    options = "GENERIC_PLAN, FORMAT JSON" if generic else "FORMAT JSON"
    cursor.execute(f"EXPLAIN ({options}) {re.sub('%s', lambda _: f'${next(numbers)}', sql)}")
    ((plan,),) = cursor.fetchall()
    nodes = list(_flat(plan[0]["Plan"]))
    indexes = sorted({node["Index Name"] for node in nodes if "Index Name" in node})
    for node in nodes:
        if node["Node Type"] == "Seq Scan":
            yield f"{node['Relation Name']} would be read from end to end; indexes used: {indexes}: {sql}"
        elif "Sort" in node["Node Type"] and node["Plans"][0]["Plan Rows"] > sorted_max:
            yield f"rows from {indexes} would be sorted: {sql}"


def _flat(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _flat(part)
