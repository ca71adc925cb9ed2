from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('containers', '0005_sleep'),
    ]

    operations = [
        migrations.AddField(
            model_name='container',
            name='oom_kills',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='container',
            name='oom_killed_at',
            field=models.DateTimeField(null=True),
        ),
    ]
