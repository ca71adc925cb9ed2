from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0006_ledger")]

    operations = [
        migrations.AddField("machine", "swap_free_bytes", models.PositiveBigIntegerField(default=0)),
    ]
