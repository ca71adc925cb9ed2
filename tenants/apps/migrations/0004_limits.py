from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps', '0003_sleep'),
    ]

    operations = [
        migrations.AddField(
            model_name='app',
            name='limits',
            field=models.JSONField(default=dict),
        ),
    ]
