import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0003_refresh_token_successors'),
        ('oauth2_provider', '0022_refreshtoken_token_family_index'),
    ]

    operations = [
        migrations.CreateModel(
            name='UsedAssertion',
            fields=[
                ('checksum', models.CharField(help_text="Hexadecimal SHA-256 of the issuer and the assertion's jti.", max_length=64, primary_key=True, serialize=False)),
                ('issuer', models.TextField()),
                ('kept_until', models.DateTimeField(db_index=True)),
                ('access_token', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='assertion', swappable=False, to='oauth2_provider.accesstoken')),
            ],
            options={
                'db_table': 'used_assertions',
            },
        ),
    ]
