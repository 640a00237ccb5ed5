"""The groups of operators, and the index that counts new users by day."""

from django.db import migrations, models

VIEW = [
    ("tasks", "task", "view"),
    ("conversations", "conversation", "view"),
    ("users", "user", "view"),
    ("oauth2_provider", "accesstoken", "view"),
    ("statistics", "callstatistics", "view"),
]
CHANGE = [
    ("tasks", "task", "change"),
    ("tasks", "task", "delete"),
    ("conversations", "conversation", "delete"),
    ("users", "user", "add"),
    ("users", "user", "change"),
    ("users", "user", "delete"),
    ("oauth2_provider", "accesstoken", "add"),
    ("oauth2_provider", "accesstoken", "delete"),
]
GROUPS = {"Read-only operators": VIEW, "Operators": [*VIEW, *CHANGE]}


def make_groups(apps, schema_editor):
    """Django makes permissions after all migrations; those that are missing here are made now, as it would."""
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for name, granted in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        for app, model, verb in granted:
            kind, _ = ContentType.objects.get_or_create(app_label=app, model=model)
            permission, _ = Permission.objects.get_or_create(
                content_type=kind, codename=f"{verb}_{model}", defaults={"name": f"Can {verb} {model}"}
            )
            group.permissions.add(permission)


def remove_groups(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=GROUPS).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0001_initial'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='user',
            index=models.Index(fields=['created_at'], name='users_created'),
        ),
        migrations.RunPython(make_groups, remove_groups),
    ]
