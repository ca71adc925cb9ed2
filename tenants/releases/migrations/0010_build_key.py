from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0009_volumes")]

    operations = [
        migrations.AddField(
            model_name="build",
            name="key",
            field=models.CharField(blank=True, default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="build",
            name="bases",
            field=models.JSONField(null=True),
        ),
    ]
