import time
from typing import Any

import django.utils.timezone
from django.core.management.base import CommandError
from django.db import OperationalError, migrations, models, transaction
from psycopg.errors import LockNotAvailable

LOCK_TIMEOUT = 1000  # milliseconds
ATTEMPTS = 60
PAUSE = 1.0  # seconds


class WhenFree(migrations.RunSQL):
    """Statements that need a table alone, for an instant. They are one transaction.

    While they wait for the table, everybody who wants it later waits behind them. So they wait at most LOCK_TIMEOUT,
    let the others pass, and try again.
    """

    def database_forwards(self, app_label: Any, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        _when_free(schema_editor, lambda: super(WhenFree, self).database_forwards(
            app_label, schema_editor, from_state, to_state
        ))

    def database_backwards(self, app_label: Any, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        _when_free(schema_editor, lambda: super(WhenFree, self).database_backwards(
            app_label, schema_editor, from_state, to_state
        ))


def _when_free(schema_editor: Any, alter: Any) -> None:
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(schema_editor.connection.alias):
                schema_editor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
                alter()
            return
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        time.sleep(PAUSE)
    raise CommandError(
        "Another transaction holds the table of messages or conversations. End it (pg_stat_activity), then run "
        "`manage.py migrate` again."
    )


class Migration(migrations.Migration):

    atomic = False  # each operation is a transaction; all may be repeated after a failure

    dependencies = [
        ('conversations', '0004_keys_by_index'),
    ]

    operations = [
        # With a longer varchar, PostgreSQL rewrites nothing. But it would check each row against the constraint of the
        # role again. So that constraint is replaced, and checked later, while others work. The way back leaves the longer
        # type: a shorter one would rewrite the table, and the release before works with both.
        WhenFree(
            sql="""
                ALTER TABLE messages DROP CONSTRAINT messages_role, ALTER COLUMN role TYPE varchar(20),
                    ADD CONSTRAINT messages_role CHECK (role IN ('user', 'assistant')) NOT VALID,
                    ALTER COLUMN created_at SET DEFAULT now()
            """,
            reverse_sql="""
                ALTER TABLE messages ALTER COLUMN created_at DROP DEFAULT
            """,
            state_operations=[
                migrations.AlterField(
                    model_name='message',
                    name='role',
                    field=models.CharField(choices=[('user', 'User'), ('assistant', 'Assistant')], max_length=20),
                ),
                migrations.AlterField(
                    model_name='message',
                    name='created_at',
                    field=models.DateTimeField(db_default=models.Func(function='now'), default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        WhenFree(
            sql="""
                ALTER TABLE conversations ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN updated_at SET DEFAULT now()
            """,
            reverse_sql="""
                ALTER TABLE conversations ALTER COLUMN created_at DROP DEFAULT, ALTER COLUMN updated_at DROP DEFAULT
            """,
            state_operations=[
                migrations.AlterField(
                    model_name='conversation',
                    name='created_at',
                    field=models.DateTimeField(db_default=models.Func(function='now'), default=django.utils.timezone.now, editable=False),
                ),
                migrations.AlterField(
                    model_name='conversation',
                    name='updated_at',
                    field=models.DateTimeField(db_default=models.Func(function='now'), default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        # Writers do not wait for these. The new type has dropped what the planner knew about the role.
        migrations.RunSQL("ALTER TABLE messages VALIDATE CONSTRAINT messages_role", migrations.RunSQL.noop),
        migrations.RunSQL("ANALYZE messages (role)", "ANALYZE messages (role)"),
    ]
