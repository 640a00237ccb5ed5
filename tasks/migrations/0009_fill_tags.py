from django.db import migrations

BATCH = 5_000  # tasks
# FOR SHARE holds back changes of these tasks until their tags are there. From then on, the triggers write the changes.
_FILL = """
    INSERT INTO task_tags (user_id, tag, completed, created_at, task_id)
    SELECT DISTINCT user_id, tasks_lower(tag), completed, created_at, id
    FROM (
        SELECT * FROM tasks WHERE id > %(after)s AND id <= %(last)s AND tags <> '{}' AND deleted_at IS NULL
        ORDER BY id FOR SHARE
    ) t, unnest(tags) tag
    ON CONFLICT DO NOTHING
"""
_LAST = """
    SELECT max(id) FROM (SELECT id FROM tasks WHERE id > %(after)s ORDER BY id LIMIT %(batch)s) batch
"""


def fill(apps, schema_editor):
    """Add the tags from before the triggers, in short transactions."""
    after = 0
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(_LAST, {"after": after, "batch": BATCH})
            (last,) = cursor.fetchone()
            if last is None:
                return
            cursor.execute(_FILL, {"after": after, "last": last})
            after = last


class Migration(migrations.Migration):

    atomic = False  # each batch is a transaction of its own

    dependencies = [
        ('tasks', '0008_tags'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
