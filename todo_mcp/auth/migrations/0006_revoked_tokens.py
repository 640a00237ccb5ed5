import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0005_rate_counts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('oauth2_provider', '0022_refreshtoken_token_family_index'),
    ]

    operations = [
        migrations.CreateModel(
            name='RevokedToken',
            fields=[
                ('token_id', models.BigIntegerField(help_text='The id that the access token had.', primary_key=True, serialize=False)),
                ('token_checksum', models.CharField(help_text='Hexadecimal SHA-256 of the token.', max_length=64, unique=True)),
                ('refresh_checksum', models.CharField(blank=True, db_index=True, help_text='Of its refresh token.', max_length=64)),
                ('token_family', models.UUIDField(db_index=True, help_text='The family of its refresh token.', null=True)),
                ('name', models.CharField(blank=True, max_length=255)),
                ('scope', models.TextField(blank=True)),
                ('source', models.TextField()),
                ('created', models.DateTimeField()),
                ('expires', models.DateTimeField()),
                ('last_used_at', models.DateTimeField(null=True)),
                ('revoked_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('revoked_by', models.CharField(choices=[('admin', 'an operator'), ('person', 'the user'), ('client', 'the app itself'), ('server', 'the server'), ('command', 'a command')], max_length=10)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('application', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', swappable=False, to='oauth2_provider.application')),
                ('operator', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'revoked_tokens',
                'default_permissions': (),
            },
        ),
    ]
