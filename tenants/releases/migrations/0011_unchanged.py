import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0010_build_key")]

    operations = [
        migrations.AddField(
            model_name="build",
            name="unchanged_since",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="build",
            name="created_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
    ]
