from pathlib import Path

from django.db import migrations

from todo_mcp.postgres.upkeep.migrating import WhenFree

_FUNCTIONS = Path(__file__).with_name("0006_search.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """A database that ran the migrations before has the functions of that time."""

    atomic = False  # it waits for the table with a limit

    dependencies = [("tasks", "0010_newest_with_fields")]

    operations = [WhenFree(migrations.RunSQL(_FUNCTIONS, migrations.RunSQL.noop))]
