from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0011_prediction_level")]

    operations = [
        migrations.AddField("trainedmodel", "graph_due", models.BooleanField(default=False)),
        migrations.AddField("trainedmodel", "bundle_attempt", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("trainedmodel", "replaced_at", models.DateTimeField(null=True)),
    ]
