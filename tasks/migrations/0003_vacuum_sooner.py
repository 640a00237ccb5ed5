from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0002_operators_indexes'),
    ]

    operations = [
        # A fifth of the table, PostgreSQL's default, may be a million changes of one user: lists step over each of them
        # in their index until they are vacuumed, and counts look into the table for what was added since.
        migrations.RunSQL(
            sql="""
                ALTER TABLE tasks SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02)
            """,
            reverse_sql="ALTER TABLE tasks RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor)",
        ),
    ]
