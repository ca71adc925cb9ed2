from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0003_alter_source_kind")]

    operations = [
        migrations.AddField(
            model_name="build",
            name="builder_version",
            field=models.CharField(blank=True, default="", max_length=40),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="build",
            name="base",
            field=models.CharField(blank=True, default="", max_length=71),
            preserve_default=False,
        ),
    ]
