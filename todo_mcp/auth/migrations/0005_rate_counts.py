from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0004_used_assertions"),
    ]

    operations = [
        migrations.CreateModel(
            name="RateCount",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("worker", models.BigIntegerField(help_text="A random number.")),
                ("round", models.BigIntegerField()),
                ("key", models.BigIntegerField(help_text="A hash of the user's id.")),
                ("calls", models.IntegerField()),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "rate_counts",
            },
        ),
        # Counts of the last minute need no WAL, and no standby. Django has no option for it.
        migrations.RunSQL("ALTER TABLE rate_counts SET UNLOGGED", migrations.RunSQL.noop),
    ]
