from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_tenant_destroyed'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='sleep_after',
            field=models.PositiveIntegerField(null=True),
        ),
    ]
