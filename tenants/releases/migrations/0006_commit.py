from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0005_brings_config")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="commit",
            field=models.CharField(blank=True, default="", max_length=100),
            preserve_default=False,
        ),
    ]
