from django.db import migrations, transaction

BATCH = 500  # conversations
# An append locks its conversation first. So with the rows locked, the next statement sees all their messages.
_LOCK = "SELECT id FROM conversations WHERE id > %s ORDER BY id LIMIT %s FOR UPDATE"
_FILL = """
    UPDATE conversations SET stored_messages = counted.messages, stored_bytes = counted.bytes
    FROM (
        SELECT conversation_id, count(*) AS messages, sum(octet_length(content) + 500) AS bytes FROM messages
        WHERE conversation_id = ANY(%s) GROUP BY conversation_id
    ) counted
    WHERE conversations.id = counted.conversation_id
"""


def fill(apps, schema_editor):
    """Count the messages from before the trigger, in short transactions."""
    after = 0
    while True:
        with transaction.atomic(schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
            cursor.execute(_LOCK, [after, BATCH])
            ids = [row[0] for row in cursor.fetchall()]
            if not ids:
                return
            cursor.execute(_FILL, [ids])
        after = ids[-1]


class Migration(migrations.Migration):

    atomic = False  # each batch is a transaction of its own

    dependencies = [
        ('conversations', '0007_message_counts'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
