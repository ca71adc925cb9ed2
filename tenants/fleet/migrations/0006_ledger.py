from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0005_tenants_traffic'),
    ]

    operations = [
        migrations.AddField(
            model_name='machine',
            name='stalled_cpu',
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='stalled_io',
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='machine',
            name='stalled_memory',
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='reading',
            name='files_part',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='reading',
            name='files_used',
            field=models.PositiveBigIntegerField(null=True),
        ),
    ]
