from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps', '0005_sleep_order_index'),
    ]

    operations = [
        migrations.AddField(
            model_name='app',
            name='sleep_ordered_at',
            field=models.DateTimeField(null=True),
        ),
    ]
