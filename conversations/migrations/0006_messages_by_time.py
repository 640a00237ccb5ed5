from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # nobody waits while the index is made

    dependencies = [
        ('conversations', '0005_defaults_and_role'),
    ]

    operations = [
        # An interrupted attempt leaves an index that PostgreSQL does not use.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS messages_created", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(fields=['created_at'], name='messages_created'),
        ),
    ]
