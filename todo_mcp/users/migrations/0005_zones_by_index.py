from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # others go on while the index is built

    dependencies = [("users", "0004_time_zone")]

    operations = [
        # An interrupted attempt leaves an index that PostgreSQL does not use.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS users_zone", migrations.RunSQL.noop),
        AddIndexConcurrently("user", models.Index(fields=["time_zone"], name="users_zone")),
    ]
