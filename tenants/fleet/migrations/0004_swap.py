from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0003_density'),
    ]

    operations = [
        migrations.AddField(
            model_name='machine',
            name='swap_bytes',
            field=models.PositiveBigIntegerField(null=True),
        ),
    ]
