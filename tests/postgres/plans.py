"""How PostgreSQL carries out what a piece of work asks of it: what it read, and how it planned to.

What was read is counted by PostgreSQL itself, so it includes what triggers and foreign keys do, whichever way the
statements came.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

READ_MAX = 1_300  # entries of one index or rows of one table: what a total counts, a page, and some more
SORTED_MAX = 100  # rows, as PostgreSQL guesses

_READ = """
SELECT relname, CASE WHEN relkind = 'r' THEN pg_stat_get_xact_numscans(oid) ELSE 0 END,
    greatest(pg_stat_get_xact_tuples_returned(oid), pg_stat_get_xact_tuples_fetched(oid))
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
"""
_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE")
_MODES = ("force_custom_plan", "force_generic_plan")  # for these values, as at first; for any, as when it is prepared


def complaints(work: Callable[[], Any]) -> list[str]:
    """What is wrong with how the work is carried out: a table read from end to end, too much of one, rows sorted.

    The work is done twice and undone; in a transaction of the caller's.
    """
    found: dict[str, None] = {}
    for mode in _MODES:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            before = _read(cursor)
            with CaptureQueriesContext(connection) as captured:
                work()
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what would be looked up at the commit
            after = _read(cursor)
            found |= dict.fromkeys(_excess(before, after))
            for query in captured.captured_queries:
                found |= dict.fromkeys(_sorts(cursor, query["sql"] or ""))
            transaction.set_rollback(True)
    return list(found)


def _read(cursor: Any) -> dict[str, tuple[int, int]]:
    """Of each table and index how often a table was read from end to end, and how many rows or entries were read."""
    cursor.execute(_READ)
    return {name: (scans, rows) for name, scans, rows in cursor.fetchall()}


def _excess(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> Iterator[str]:
    for name, (scans, rows) in after.items():
        read = rows - before[name][1]
        if scans > before[name][0]:
            yield f"{name} was read from end to end: {read} rows"
        elif read > READ_MAX:
            yield f"{name}: {read} entries were read"


def _sorts(cursor: Any, sql: str) -> Iterator[str]:
    if not sql.startswith(_PLANNED):
        return
    generic = "%s" in sql  # as it was prepared, without its values
    if generic and connection.connection.info.server_version < 160000:  # EXPLAIN has it from there on
        return
    numbers = iter(range(1, 100))
    options = "GENERIC_PLAN, FORMAT JSON" if generic else "FORMAT JSON"
    cursor.execute(f"EXPLAIN ({options}) {re.sub('%s', lambda _: f'${next(numbers)}', sql)}")
    ((plan,),) = cursor.fetchall()
    nodes = list(_flat(plan[0]["Plan"]))
    by = sorted({node["Index Name"] for node in nodes if "Index Name" in node})
    for node in nodes:
        if node["Node Type"] == "Seq Scan":
            yield f"{node['Relation Name']} would be read from end to end, beside {by}: {sql}"
        elif "Sort" in node["Node Type"] and node["Plans"][0]["Plan Rows"] > SORTED_MAX:
            yield f"rows would be sorted that were found by {by}: {sql}"


def _flat(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _flat(part)
