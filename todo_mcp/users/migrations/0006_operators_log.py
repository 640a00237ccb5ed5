"""The user whom an entry of the operators' log is about, for older entries too; and who may read the log."""

import django.db.models.deletion
from django.db import migrations, models

import todo_mcp.users.models

READERS = ("Read-only operators", "Operators")
# Whose row each older entry is about: a user's own, or one that is still there. The release before wrote a token's user
# into its name.
_FILL = """
    INSERT INTO log_subjects (entry_id, user_id)
    SELECT entry.id, coalesce(users.id, tasks.user_id, conversations.user_id, tokens.user_id)
    FROM (
        SELECT *, CASE WHEN object_id ~ '^[0-9]{1,18}$' THEN object_id::bigint END AS number FROM django_admin_log
    ) entry
    JOIN django_content_type kind ON kind.id = entry.content_type_id
    LEFT JOIN users ON (kind.app_label = 'users' AND users.id = entry.object_id)
        OR (kind.app_label = 'oauth2_provider' AND users.id = split_part(entry.object_repr, ': ', 1))
    LEFT JOIN tasks ON kind.app_label = 'tasks' AND tasks.id = entry.number
    LEFT JOIN conversations ON kind.app_label = 'conversations' AND conversations.id = entry.number
    LEFT JOIN oauth2_provider_accesstoken tokens
        ON kind.app_label = 'oauth2_provider' AND tokens.id = entry.number
    WHERE coalesce(users.id, tasks.user_id, conversations.user_id, tokens.user_id) IS NOT NULL
"""


def let_operators_read(apps, schema_editor):
    """Django makes permissions after all migrations; this one is made now, as it would."""
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label="admin", model="logentry")
    permission, _ = Permission.objects.get_or_create(
        content_type=kind, codename="view_logentry", defaults={"name": "Can view log entry"}
    )
    for group in Group.objects.filter(name__in=READERS):
        group.permissions.add(permission)


class Migration(migrations.Migration):

    dependencies = [
        ('admin', '0003_logentry_add_action_flag_choices'),
        ('users', '0005_zones_by_index'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('tasks', '0001_initial'),
        ('conversations', '0001_initial'),
        ('oauth2_provider', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='user',
            name='id',
            field=models.CharField(db_collation='C', max_length=255, primary_key=True, serialize=False, validators=[todo_mcp.users.models.validate_id], verbose_name='user id'),
        ),
        migrations.CreateModel(
            name='LogSubject',
            fields=[
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='subject', serialize=False, to='admin.logentry')),
                ('user_id', models.CharField(db_collation='C', max_length=255)),
            ],
            options={
                'db_table': 'log_subjects',
                'indexes': [models.Index(fields=['user_id', '-entry'], name='log_subjects_user')],
            },
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.RunPython(let_operators_read, migrations.RunPython.noop),
    ]
