import django.utils.timezone
from django.db import migrations, models

from todo_mcp.postgres.upkeep.migrating import WhenFree


class Migration(migrations.Migration):

    atomic = False  # each operation is a transaction; all may be repeated after a failure

    dependencies = [
        ('conversations', '0004_keys_by_index'),
    ]

    operations = [
        # With a longer varchar, PostgreSQL rewrites nothing. But it would check each row against the constraint of the
        # role again. So that constraint is replaced, and checked later, while others work. The way back leaves the longer
        # type: a shorter one would rewrite the table, and the release before works with both.
        WhenFree(migrations.RunSQL(
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
        )),
        WhenFree(migrations.RunSQL(
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
        )),
        # Writers do not wait for these. The new type has dropped what the planner knew about the role.
        migrations.RunSQL("ALTER TABLE messages VALIDATE CONSTRAINT messages_role", migrations.RunSQL.noop),
        migrations.RunSQL("ANALYZE messages (role)", "ANALYZE messages (role)"),
    ]
