"""Fill an empty, migrated database with a big service's year: 10,000 users, 1,000,000 tasks, 1,000,000 messages.

It uses COPY without triggers, so it takes one or two minutes. The history gets the first version of each task.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from conversations.models import STORED_BYTES
from tests.benchmarks.words import COMMON_FIRST, RARE, WORDS
from todo_mcp.statistics.refused_calls import TABLE_MAX

USERS, TASKS, CONVERSATIONS, MESSAGES = 10_000, 1_000_000, 50_000, 1_000_000
LONG_CHAT = 10_000  # messages of conversation 1
YEAR = timedelta(days=365)

Report = Callable[[str], object]


def fill(report: Report) -> None:
    """Write all rows, then vacuum and analyse as autovacuum would."""
    chance, now = random.Random(1), datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for table, columns, rows in (
            ("users", USER_COLUMNS, users(now)),
            ("conversations", "user_id, title, created_at, updated_at", conversations(chance, now)),
            ("messages", "conversation_id, user_id, role, content, created_at", messages(chance, now)),
            ("tasks", TASK_COLUMNS, tasks(chance, now)),
        ):
            copy(cursor, f"COPY {table} ({columns}) FROM STDIN", rows)
            report(f"{table}: filled")
        cursor.execute(LARGE_ITEMS)
        cursor.execute(COUNTS)
        cursor.execute(f"INSERT INTO task_events ({EVENT_COLUMNS}) {FIRST_VERSIONS}")
        cursor.execute(CALLS)
        for statement in TOKENS:
            cursor.execute(statement)
        cursor.execute(REFUSED_CALLS)
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM ANALYZE")
        report("vacuumed and analysed")


def copy(cursor: Any, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy(statement) as into:
        for row in rows:
            into.write_row(row)


USER_COLUMNS = "id, password, is_superuser, name, email, is_active, is_staff, created_at"
TASK_COLUMNS = (
    "user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at, conversation_id, "
    "message_id"
)
EVENT_COLUMNS = (
    "pgh_created_at, pgh_label, pgh_obj_id, id, user_id, title, description, completed, created_at, updated_at, "
    "pgh_context"
)
FIRST_VERSIONS = """
    SELECT created_at, 'insert', id, id, user_id, title, description, false, created_at, created_at, jsonb_build_object(
        'user', user_id, 'tool', 'add_task', 'token', id % 10000, 'token_name', 'laptop', 'service', false,
        'client', CASE WHEN id % 100000 = 99 THEN 'rare' ELSE 'client-' || id % 20 END,
        'transport', 'mcp', 'request_id', md5(id::text)
    ) FROM tasks
"""
LARGE_ITEMS = """
    UPDATE messages SET item = json_build_object('type', 'function_call_output', 'output', repeat(md5(id::text), 8000))
    WHERE conversation_id = 2
"""
COUNTS = f"""
    UPDATE conversations SET stored_messages = counted.messages, stored_bytes = counted.bytes
    FROM (
        SELECT conversation_id, count(*) AS messages, sum({STORED_BYTES}) AS bytes
        FROM messages GROUP BY conversation_id
    ) counted
    WHERE conversations.id = counted.conversation_id
"""

CALLS = """
    INSERT INTO call_statistics (
        hour, tool, outcome, client, revision, transport,
        calls, milliseconds_total, milliseconds_max, slowest_request_id
    )
    SELECT date_trunc('hour', now()) - n * interval '1 hour', tool, 'success', 'client-' || client, '', 'mcp',
        9, 50, n, ''
    FROM generate_series(0, 24 * 90) n, generate_series(1, 20) client,
        unnest(ARRAY['add_task', 'list_tasks', 'complete_task', 'update_task', 'delete_task']) tool
"""  # 20 clients that call every tool in every hour of the stored statistics

# 20 OAuth clients, of which each user has connected two, each with 4 tokens. The first client has all users.
FIRST_REVOKED = 1_000_000
_SCOPE = "'tasks:read tasks:write'"
TOKENS = (
    """
    INSERT INTO oauth2_provider_application (
        client_id, redirect_uris, post_logout_redirect_uris, client_type, authorization_grant_type, client_secret,
        hash_client_secret, name, skip_authorization, created, updated, algorithm, allowed_origins, registration_source
    )
    SELECT 'client-' || n, 'https://example.com/', '', 'public', 'authorization-code', '', true, 'Client ' || n, false,
        now(), now(), '', '', 'dcr'
    FROM generate_series(1, 20) n
    """,
    f"""
    INSERT INTO oauth2_provider_accesstoken (
        token, token_checksum, expires, scope, application_id, user_id, created, updated, resource
    )
    SELECT '', md5(n || '-' || u) || md5(n || '+' || u), now() + n * interval '10 years', {_SCOPE},
        CASE WHEN n < 4 THEN 1 ELSE 2 + u % 19 END, 'user-' || u, now() - n * interval '1 hour', now(), '[]'
    FROM generate_series(0, 9999) u, generate_series(0, 7) n
    """,
    """
    INSERT INTO oauth2_provider_refreshtoken (
        token, token_checksum, application_id, access_token_id, user_id, created, updated, token_family, resource
    )
    SELECT '', token_checksum, application_id, id, user_id, created, created,
        md5(application_id || user_id)::uuid, '[]'
    FROM oauth2_provider_accesstoken
    """,
    "INSERT INTO token_uses SELECT id, now() FROM oauth2_provider_accesstoken",
    """
    INSERT INTO token_days (token_id, user_id, day, client, reads, writes, refused, failed)
    SELECT token.id, user_id, now()::date - n, 'client-' || client, 9, 9, 1, 0
    FROM (SELECT * FROM oauth2_provider_accesstoken ORDER BY id LIMIT 500) token,
        generate_series(0, 89) n, generate_series(1, 20) client
    """,
    f"""
    INSERT INTO revoked_tokens (
        token_id, token_checksum, refresh_checksum, token_family, user_id, application_id, name, scope, source, created,
        expires, revoked_at, revoked_by, reason
    )
    SELECT {FIRST_REVOKED} + n, md5(n || '') || md5(n || 'x'), md5(n || '') || md5(n || 'y'), md5(n || '')::uuid,
        'user-' || n % 10000, 1 + n % 20, 'Client', {_SCOPE}, 'consent', now(), now(),
        now() - n * interval '3 minutes', 'person', ''
    FROM generate_series(0, 99999) n
    """,
)  # 80,000 tokens; 500 of them with 90 days of 20 clients; 100,000 revoked ones

REFUSED_CALLS = f"""
    INSERT INTO refused_calls (
        at, user_id, token_id, token_name, client, tool, outcome, transport, fields, request_id
    )
    SELECT now() - n * interval '1 hour' / {TABLE_MAX}, 'user-' || n * 7 % {USERS}, n % 9000, 'laptop',
        'client-' || n % 20, (ARRAY['add_task', 'list_tasks', 'complete_task', 'update_task'])[1 + n % 4],
        (ARRAY['invalid_arguments', 'task_not_found', 'busy'])[1 + n % 3], 'mcp',
        CASE n % 3 WHEN 0 THEN ARRAY['due', 'tasks.due', 'repeat'] ELSE ARRAY[]::text[] END, md5(n::text)
    FROM generate_series(0, 24 * 7 * {TABLE_MAX} - 1) n
"""  # as many as the table can have


def users(now: datetime) -> Iterator[tuple[Any, ...]]:
    for n in range(USERS):
        yield f"user-{n}", "!", False, f"User {n}", f"user-{n}@example.com", n % 50 > 0, False, at(now, n, USERS)


def conversations(chance: random.Random, now: datetime) -> Iterator[tuple[Any, ...]]:
    for n in range(CONVERSATIONS):
        when = at(now, n, CONVERSATIONS)
        title = " ".join(chance.choices(WORDS, cum_weights=COMMON_FIRST, k=chance.randint(2, 8)))
        yield owner(n), title, when, min(now, when + timedelta(hours=1))


def messages(chance: random.Random, now: datetime) -> Iterator[tuple[Any, ...]]:
    for n in range(MESSAGES):
        place = 0 if n % (MESSAGES // LONG_CHAT) == 0 else n * CONVERSATIONS // MESSAGES
        words = chance.choices(WORDS, cum_weights=COMMON_FIRST, k=chance.randint(3, 60))
        content = " ".join([*words, *([RARE] if n % 100_000 == 99 else [])])
        yield place + 1, owner(place), "assistant" if n % 2 else "user", content, at(now, n, MESSAGES)


def tasks(chance: random.Random, now: datetime) -> Iterator[tuple[Any, ...]]:
    for n in range(TASKS):
        created, user = at(now, n, TASKS), f"user-{n * 7 % USERS}"
        done_at = min(now, created + timedelta(days=9 * chance.random())) if n % 5 < 3 else None
        deleted = done_at if n % 20 == 1 else None
        title = " ".join(chance.choices(WORDS, k=5))
        yield user, title, "", done_at is not None, done_at, created, done_at or created, deleted, *origin(n)


def origin(task: int) -> tuple[int | None, int | None]:
    """The conversation and the message of a task. Those of one user are from the latest messages of conversation 1."""
    if task % USERS:
        return None, None
    step = MESSAGES // LONG_CHAT  # between the ids of two messages of conversation 1
    return 1, MESSAGES + 1 - step * (1 + task // USERS % 20)


def owner(conversation: int) -> str:
    return f"user-{conversation % USERS}"


def at(now: datetime, number: int, count: int) -> datetime:
    """The time of the row with this number. The rows are spread evenly over the year, in order."""
    return now - YEAR * ((count - number) / count)
