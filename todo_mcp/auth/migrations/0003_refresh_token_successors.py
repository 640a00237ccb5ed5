import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0002_plain_help_texts'),
        ('oauth2_provider', '0022_refreshtoken_token_family_index'),
    ]

    operations = [
        migrations.CreateModel(
            name='Successor',
            fields=[
                ('refresh_token', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='origin', serialize=False, swappable=False, to='oauth2_provider.refreshtoken')),
                ('predecessor', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='successors', swappable=False, to='oauth2_provider.refreshtoken')),
            ],
            options={
                'db_table': 'refresh_token_successors',
            },
        ),
    ]
