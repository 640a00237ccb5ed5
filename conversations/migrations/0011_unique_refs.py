import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # nobody waits while the indexes are made and the constraints are checked

    dependencies = [
        ('conversations', '0010_refs_items'),
    ]

    operations = [
        # An interrupted attempt leaves an index that PostgreSQL does not use.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS conversations_ref", migrations.RunSQL.noop),
        migrations.RunSQL(
            sql="CREATE UNIQUE INDEX CONCURRENTLY conversations_ref ON conversations (user_id, ref) WHERE ref IS NOT NULL",
            reverse_sql="DROP INDEX CONCURRENTLY IF EXISTS conversations_ref",
            state_operations=[
                migrations.AddConstraint(
                    model_name='conversation',
                    constraint=models.UniqueConstraint(condition=models.Q(('ref__isnull', False)), fields=('user', 'ref'), name='conversations_ref'),
                ),
            ],
        ),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS messages_ref", migrations.RunSQL.noop),
        migrations.RunSQL(
            sql="CREATE UNIQUE INDEX CONCURRENTLY messages_ref ON messages (conversation_id, ref) WHERE ref IS NOT NULL",
            reverse_sql="DROP INDEX CONCURRENTLY IF EXISTS messages_ref",
            state_operations=[
                migrations.AddConstraint(
                    model_name='message',
                    constraint=models.UniqueConstraint(condition=models.Q(('ref__isnull', False)), fields=('conversation', 'ref'), name='messages_ref'),
                ),
            ],
        ),
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS conversations_title_words", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name='conversation',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('title', config='simple'), condition=models.Q(('title__isnull', False)), name='conversations_title_words'),
        ),
        ValidateConstraint(model_name='conversation', name='conversations_ref_form'),
        ValidateConstraint(model_name='conversation', name='conversations_title_length'),
        ValidateConstraint(model_name='conversation', name='conversations_metadata_object'),
        ValidateConstraint(model_name='message', name='messages_ref_form'),
        ValidateConstraint(model_name='message', name='messages_item_object'),
    ]
