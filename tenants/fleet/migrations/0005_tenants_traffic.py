from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0004_swap'),
    ]

    operations = [
        migrations.AlterField(
            model_name='reading',
            name='io_rate',
            field=models.PositiveBigIntegerField(default=0, null=True),
        ),
    ]
