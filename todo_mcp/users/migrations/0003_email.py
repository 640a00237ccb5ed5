import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # nobody waits while the index is made

    dependencies = [
        ('users', '0002_operators'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(django.db.models.functions.text.Upper('email'), name='users_email'),
        ),
    ]
