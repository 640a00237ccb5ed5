from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # nobody waits while the index is made

    dependencies = [
        ('conversations', '0006_messages_by_time'),
        ('tasks', '0009_fill_tags'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # An interrupted attempt leaves an index that PostgreSQL does not use.
        migrations.RunSQL('DROP INDEX CONCURRENTLY IF EXISTS tasks_newest_all', migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name='task',
            index=models.Index(condition=models.Q(('deleted_at', None)), fields=['user', '-created_at', '-id'], include=('priority', 'due_on', 'due_at'), name='tasks_newest_all'),
        ),
        RemoveIndexConcurrently(
            model_name='task',
            name='tasks_newest',
        ),
        migrations.RunSQL(migrations.RunSQL.noop, 'DROP INDEX CONCURRENTLY IF EXISTS tasks_newest'),
    ]
