from django.db import migrations

_DROP = "DROP INDEX CONCURRENTLY IF EXISTS task_events_words"


class Migration(migrations.Migration):

    atomic = False  # nobody waits while the index is made

    dependencies = [
        ('tasks', '0006_search'),
    ]

    operations = [
        # An interrupted attempt leaves an index that PostgreSQL does not use.
        migrations.RunSQL(_DROP, migrations.RunSQL.noop),
        # The history has one row for each text that a task ever had, and its rows never change. So completing a task
        # adds nothing here. An index on tasks would get all words again with each change of the row.
        migrations.RunSQL(
            """
            CREATE INDEX CONCURRENTLY task_events_words ON task_events
            USING gin (tasks_keys(pgh_id, title, description, tags, checklist))
            WITH (fastupdate = on, gin_pending_list_limit = 2048)
            WHERE pgh_label <> 'delete' AND version = text_version
            """,
            _DROP,
        ),
    ]
