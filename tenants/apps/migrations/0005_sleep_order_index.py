from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apps", "0004_limits")]

    operations = [
        migrations.AddIndex(
            model_name="app",
            index=models.Index(fields=["id"], condition=~models.Q(sleep_order=""), name="app_ordered"),
        ),
    ]
