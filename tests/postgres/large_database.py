"""A large database for tests of plans, as a fixture for whole modules."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from tasks.models import Task, TaskEvent
from todo_mcp.auth.tokens import issue_token

STRANGER = "user-1"  # has few rows
# Has 10,000 tasks, of which 3,000 are deleted and 10 pending; 500 conversations, one of them with 5,000 messages.
# Conversations and messages have refs.
USER = "user-7"
# Has 10,000 tasks, half of them pending. Many are due, have a priority or tags.
BUSY = "user-8"

_FILL = """
ALTER TABLE tasks DISABLE TRIGGER USER;  -- no history of these rows, which would take most of the time
INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    SELECT 'user-' || n, '!', '', '', true, false, false, now() FROM generate_series(0, 1999) n;
INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at, tags)
    SELECT 'user-' || n % 2000, 'Task ' || n, '', false, now() - n * interval '1 minute', now(),
        CASE WHEN n % 3 = 0 THEN ARRAY['Home'] ELSE '{{}}' END
    FROM generate_series(1, 20000) n;
INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, result, created_at)
    SELECT 'user-' || n % 20, 'add_task', 'key number ' || n, '', '{{}}', now() FROM generate_series(1, 5000) n;
INSERT INTO conversations (user_id, created_at, updated_at, ref, title, metadata)
    SELECT CASE WHEN n % 5 = 0 THEN 'user-7' ELSE 'user-' || n % 1990 + 10 END, now(),
        now() - n * interval '1 minute' - CASE WHEN n % 5 = 0 THEN interval '1 year' ELSE interval '0' END,
        'conversation-' || n, 'Talk ' || n, '{{"model":"small"}}'
    FROM generate_series(1, 2500) n;
INSERT INTO tasks (
    user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at, conversation_id
)
    SELECT 'user-7', 'Task ' || n, '', n <= 9990, CASE WHEN n <= 9990 THEN now() END,
        now() - n * interval '1 minute', now(), CASE WHEN n <= 3000 THEN now() END, id
    FROM generate_series(1, 10000) n
    JOIN (SELECT id, row_number() OVER () AS place FROM conversations WHERE user_id = 'user-7') c
        ON place = n % 500 + 1;
INSERT INTO tasks (
    user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at, due_on, due_at, priority,
    tags
)
    SELECT 'user-8', 'Task ' || n, '', n % 2 = 0, CASE WHEN n % 2 = 0 THEN now() - n * interval '1 hour' END,
        now() - n * interval '1 hour', now(), CASE WHEN n % 10 = 9 THEN now() END,
        CASE WHEN n % 5 = 0 THEN CURRENT_DATE - 1000 + n % 2000 END,
        CASE WHEN n % 5 = 1 THEN now() - interval '1000 days' + n % 1999 * interval '1 day' END,
        CASE WHEN n % 7 < 3 THEN n % 4 ELSE 0 END, CASE WHEN n % 11 = 0 THEN ARRAY['Work'] ELSE '{{}}' END
    FROM generate_series(1, 10000) n;
INSERT INTO task_tags (user_id, tag, completed, created_at, task_id)
    SELECT user_id, tasks_lower(tag), completed, created_at, id FROM tasks, unnest(tags) tag WHERE deleted_at IS NULL;
INSERT INTO task_events (
    {columns}, pgh_obj_id, pgh_label, pgh_created_at
)
    SELECT {columns}, id, 'insert', created_at FROM tasks WHERE user_id IN ('user-1', 'user-7', 'user-8') ORDER BY id;
INSERT INTO messages (conversation_id, user_id, role, content, created_at, ref, item)
    SELECT c.id, c.user_id, 'user', 'Words', now(), 'long-' || n, '{{"type":"message"}}'
    FROM generate_series(1, 5000) n,
        (SELECT id, user_id FROM conversations WHERE user_id = 'user-7' ORDER BY updated_at DESC LIMIT 1) c;
INSERT INTO messages (conversation_id, user_id, role, content, created_at, ref)
    SELECT c.id, c.user_id, 'user', 'Words', now(), 'short-' || n FROM conversations c, generate_series(1, 20) n;
"""
_MORE = """
CREATE TEMPORARY TABLE more AS SELECT t.*, n FROM {table} t, generate_series(1, 5000) n;
UPDATE more SET id = -n, {column} = md5(n::text) || md5(n::text);
ALTER TABLE more DROP COLUMN n;
INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM more;
DROP TABLE more;
"""
_FINISH = """
SET CONSTRAINTS ALL IMMEDIATE;  -- the checks that wait for the commit
SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE tasks ENABLE TRIGGER USER;
ANALYZE;
"""


# The columns that a task and its events have in common.
_OF_EVENT = {field.name for field in TaskEvent._meta.fields}
_SHARED = [str(field.column) for field in Task._meta.concrete_fields if field.name in _OF_EVENT]


@pytest.fixture(scope="module")
def token(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The token of one user, in an analysed database with 2,000 users, 40,000 tasks and more rows of other kinds."""
    with django_db_blocker.unblock(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_FILL.format(columns=", ".join(_SHARED)))
            token = issue_token(user_id=USER)
            cursor.execute(_MORE.format(table="oauth2_provider_application", column="client_id"))
            cursor.execute(_MORE.format(table="oauth2_provider_accesstoken", column="token_checksum"))
            cursor.execute(_FINISH)
        yield token
        transaction.set_rollback(True)
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # the indexes would still have the rows, and the next module would read them
