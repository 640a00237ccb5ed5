"""Tasks of raw SQL, and searches in them by the functions of the database."""

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection

from tasks.search import parse_query


def add(
    title: str, description: str = "", tags: Sequence[str] = (), items: Sequence[str] = (), user: str = "alice"
) -> int:
    checklist = json.dumps([{"text": text, "done": False} for text in items])
    return int(
        value(
            "INSERT INTO tasks (user_id, title, description, tags, checklist, completed, created_at, updated_at)"
            " VALUES (%s, %s, %s, %s, %s, false, now(), now()) RETURNING id",
            user, title, description, list(tags), checklist,
        )
    )  # fmt: skip


def value(sql: str, *params: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    return row[0] if row else None


def find(query: str, *, user: str = "alice", tag: str | None = None, state: str = "all") -> set[int]:
    terms, without = parse_query(query) if query else ([], [])
    sql = "SELECT ids FROM tasks_found(%s, %s, %s, %s, %s)"
    return set(value(sql, user, terms, without, tag, state))


def find_by_index(query: str, tag: str | None = None) -> set[int]:
    """The tasks that the index answers, before they are compared."""
    terms, _ = parse_query(query) if query else ([], [])
    value("SELECT set_config('enable_seqscan', 'off', true)")
    return set(
        value(
            "SELECT coalesce(array_agg(pgh_obj_id), '{}') FROM task_events WHERE pgh_label <> 'delete'"
            " AND version = text_version"
            " AND tasks_keys(pgh_id, title, description, tags, checklist) @@ tasks_key_query(%s, %s)",
            terms,
            tag,
        )
    )
