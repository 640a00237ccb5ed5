"""Fill a database with a year of a service: N messages, and N tasks of N / 10 users. One user has a tenth of the tasks.
Another one has a thousand.

PostgreSQL itself writes the rows, without triggers. The indexes follow after the rows.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from tests.benchmarks.words import COMMON_FIRST, RARE, WORDS

HUGE = "u-cfcd208495d565ef66e7dff9f98764da"  # md5('0'): has a tenth of all tasks, all done but the oldest ten
THOUSAND = "u-thousand"  # has a thousand tasks in either database
LONG = 10  # the id of a conversation of that user, which has a hundredth of all messages
SENTENCES = 10_000
RARE_ROWS = 50  # messages, and tasks of the huge user, with the rare word
COMMON = "groceries"  # a word and a tag of a tenth of all tasks

_USER = "'u-' || md5(CASE WHEN {n} % 10 = 0 THEN 0 ELSE 1 + {n} * 7919 % ({users} - 1) END::text)"
_AT = "now() - ({rows} - n) * (interval '1 year' / {rows})"
# The tables are filled in this order.
_TABLES = {
    "users": """
        INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
        SELECT 'u-' || md5(n::text), '!', '', '', true, false, false, {at} FROM generate_series(0, {rows} - 1) n
        UNION ALL SELECT '{thousand}', '!', '', '', true, false, false, now()
    """,
    "oauth2_provider_application": """
        INSERT INTO oauth2_provider_application (
            client_id, redirect_uris, client_type, authorization_grant_type, client_secret, name, user_id,
            skip_authorization, created, updated, algorithm, post_logout_redirect_uris, hash_client_secret,
            allowed_origins, registration_source
        )
        SELECT md5('a' || n), redirect_uris, client_type, authorization_grant_type, md5('b' || n), 'personal',
            'u-' || md5(n::text), skip_authorization, {at}, {at}, algorithm, '', hash_client_secret, '', 'manual'
        FROM generate_series(0, {rows} - 1) n, (SELECT * FROM oauth2_provider_application LIMIT 1) one
    """,
    "oauth2_provider_accesstoken": """
        INSERT INTO oauth2_provider_accesstoken (
            token, expires, scope, application_id, user_id, created, updated, token_checksum, resource
        )
        SELECT token, expires, scope, 2 + n, 'u-' || md5(n::text), {at}, {at}, md5('c' || n) || md5('d' || n), resource
        FROM generate_series(0, {rows} - 1) n, (SELECT * FROM oauth2_provider_accesstoken LIMIT 1) one
    """,
    "tasks": """
        INSERT INTO tasks (
            user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at, due_on, due_at,
            priority, tags
        )
        SELECT owner, array_to_string((string_to_array(words, ' '))[1:5], ' ') || ' ' || n
                || CASE WHEN place % 10 = 3 THEN ' {common}' ELSE '' END
                || CASE WHEN is_rare THEN ' {rare}' ELSE '' END,
            'On Friday, before noon, and ask for the new one', done, CASE WHEN done THEN made_at END, made_at, made_at,
            CASE WHEN n % 20 = 7 OR place % 20 = 7 AND n % 10 = 0 THEN made_at END,
            CASE WHEN is_rare THEN CURRENT_DATE WHEN place % 8 < 2 THEN made_at::date + (place % 15)::int END,
            CASE WHEN NOT is_rare AND place % 8 = 2 THEN made_at + (place % 15) * interval '1 day' END,
            greatest(0, place % 7 - 3),
            CASE WHEN is_rare THEN '{{{rare}}}' WHEN place % 10 = 3 THEN '{{{common}}}' ELSE '{{}}' END::varchar[]
        FROM (
            SELECT n, n / 10 AS place, {user} AS owner, {at} AS made_at,
                CASE WHEN n % 10 = 0 THEN n > 100 ELSE n % 5 < 3 END AS done, n % ({rows} / {rare_rows}) = 0 AS is_rare
            FROM generate_series(1, {rows}) n
            UNION ALL
            SELECT n, n / 10, '{thousand}', now() - (10000 - n) * (interval '1 year' / 10000), n / 10 % 5 < 3,
                n % (10000 / {rare_rows}) = 0
            FROM generate_series(10, 10000, 10) n
        ) made JOIN sentences ON sentences.id = n * 7919 % {sentences}
    """,
    "task_tags": """
        INSERT INTO task_tags (user_id, tag, completed, created_at, task_id)
        SELECT user_id, tasks_lower(tag), completed, created_at, id FROM tasks, unnest(tags) tag
        WHERE deleted_at IS NULL
    """,
    "task_events": """
        INSERT INTO task_events (
            pgh_created_at, pgh_label, pgh_obj_id, id, user_id, title, description, completed, created_at, updated_at,
            due_on, due_at, priority, tags
        )
        SELECT created_at, 'insert', id, id, user_id, title, description, false, created_at, created_at, due_on, due_at,
            priority, tags
        FROM tasks
    """,
    "conversations": """
        INSERT INTO conversations (user_id, created_at, updated_at, ref, title, metadata)
        SELECT {user}, {at}, {at} + interval '1 hour', 'c-' || n, 'Talk ' || n, '{{"model":"small"}}'
        FROM generate_series(1, {rows}) n
    """,
    "messages": """
        INSERT INTO messages (conversation_id, user_id, role, content, created_at, ref, item)
        SELECT conversation_id, {user_of_conversation}, CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
            words || CASE WHEN n % ({rows} / {rare_rows}) = 9 THEN ' {rare}' ELSE '' END, made_at, 'm-' || n,
            CASE WHEN n % 5 = 0 THEN '{{"type":"message","id":"m-' || n || '"}}' END
        FROM (
            SELECT n, {at} AS made_at, CASE WHEN n % 100 = 0 THEN {long} ELSE 1 + (n - 1) / 20 END AS conversation_id
            FROM generate_series(1, {rows}) n
        ) said JOIN sentences ON sentences.id = n * 7919 % {sentences}
    """,
    "idempotency_keys": """
        INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, result, created_at)
        SELECT {user}, 'add_task', md5(n::text), '', '{{}}', now() - n * (interval '1 day' / {rows})
        FROM generate_series(1, {rows}) n
    """,
}
# The number of tasks for each row of a table; 10 for the other tables.
_SHARE = {"tasks": 1, "task_tags": 1, "task_events": 1, "messages": 1, "conversations": 20, "idempotency_keys": 100}
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = %s::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def fill(url: str, tasks: int, report: Callable[[str], object]) -> None:
    """Fill a migrated database that has nothing but one service token."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '256MB'")
        connection.execute("CREATE TEMPORARY TABLE sentences (id bigint, words text)")
        with connection.cursor().copy("COPY sentences FROM STDIN") as into:
            for row in _sentences():
                into.write_row(row)
        connection.execute("ANALYZE sentences")
        for table, statement in _TABLES.items():
            started = time.perf_counter()
            rows = tasks // _SHARE.get(table, 10)
            _write(connection, table, _statement_for(statement, tasks, rows))
            report(f"{table}: {rows:,} rows in {time.perf_counter() - started:.0f} s")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _sentences() -> Iterator[tuple[int, str]]:
    chance = random.Random(1)
    for n in range(SENTENCES):
        yield n, " ".join(chance.choices(WORDS, cum_weights=COMMON_FIRST, k=chance.randint(3, 60)))


def _statement_for(statement: str, tasks: int, rows: int) -> str:
    users = tasks // 10
    return statement.format(
        rows=f"{rows}::bigint",
        at=_AT.format(rows=rows),
        user=_USER.format(n="n", users=users),
        user_of_conversation=_USER.format(n="conversation_id", users=users),
        rare=RARE,
        common=COMMON,
        thousand=THOUSAND,
        rare_rows=RARE_ROWS,
        long=LONG,
        sentences=SENTENCES,
    )


def _write(connection: "psycopg.Connection[Any]", table: str, statement: str) -> None:
    indexes = connection.execute(_INDEXES, [table]).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(statement)
    for _, definition in indexes:
        connection.execute(definition)
