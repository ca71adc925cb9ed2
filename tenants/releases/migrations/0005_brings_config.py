from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0004_build_provenance")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="brings_config",
            field=models.BooleanField(default=False),
        ),
    ]
