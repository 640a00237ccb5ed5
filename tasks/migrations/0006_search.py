from pathlib import Path

from django.db import migrations

from todo_mcp.postgres.upkeep.migrating import WhenFree

# Django stores no functions, so 0007 declares the index in SQL too.
_FORWARD = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_BACK = """
    DROP FUNCTION IF EXISTS
        tasks_found, tasks_found_anywhere, tasks_search, tasks_key_query, tasks_keys, tasks_tag_key, tasks_key_words,
        tasks_has_tag, tasks_title_has, tasks_patterns, tasks_words, tasks_fold, tasks_lower
"""


class Migration(migrations.Migration):

    atomic = False  # it waits for the table with a limit

    dependencies = [
        ('tasks', '0005_everyday'),
    ]

    operations = [
        WhenFree(migrations.RunSQL(_FORWARD, _BACK)),
    ]
