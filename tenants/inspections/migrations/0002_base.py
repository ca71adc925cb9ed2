from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inspections", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="inspection",
            name="kind",
            field=models.CharField(
                choices=[
                    ("image", "Image"),
                    ("layer", "Layer"),
                    ("releases", "Releases"),
                    ("base", "Base"),
                    ("container", "Container"),
                ],
                max_length=9,
            ),
        ),
    ]
