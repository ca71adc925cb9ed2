from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("releases", "0011_unchanged")]

    operations = [migrations.AddField(model_name="build", name="recipe", field=models.JSONField(null=True))]
