from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0008_tags'),
    ]

    operations = [
        # The tags from before the triggers. FOR SHARE holds back changes of tasks with tags, and of no others.
        migrations.RunSQL(
            """
            INSERT INTO task_tags (user_id, tag, completed, created_at, task_id)
            SELECT DISTINCT user_id, tasks_lower(tag), completed, created_at, id
            FROM (SELECT * FROM tasks WHERE tags <> '{}' AND deleted_at IS NULL FOR SHARE) t, unnest(tags) tag
            ON CONFLICT DO NOTHING
            """,
            migrations.RunSQL.noop,
        ),
    ]
