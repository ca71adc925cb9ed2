from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0006_commit")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="image_gone",
            field=models.BooleanField(default=False),
        ),
    ]
