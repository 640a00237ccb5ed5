import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('statistics', '0002_plain_help_texts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='TokenDay',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('token_id', models.BigIntegerField()),
                ('day', models.DateField(db_index=True)),
                ('client', models.CharField(blank=True, max_length=100)),
                ('reads', models.BigIntegerField()),
                ('writes', models.BigIntegerField()),
                ('refused', models.BigIntegerField()),
                ('failed', models.BigIntegerField()),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'token_days',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('token_id', 'day', 'client'), name='token_days_key')],
            },
        ),
    ]
