from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # nobody waits while the index is made

    dependencies = [
        ('tasks', '0012_thinned_versions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # An interrupted attempt leaves an index that PostgreSQL does not use.
        migrations.RunSQL('DROP INDEX CONCURRENTLY IF EXISTS task_events_newest', migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name='taskevent',
            index=models.Index(fields=['pgh_created_at', 'pgh_id'], name='task_events_newest'),
        ),
    ]
