from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0012_bundles_written_anew")]

    operations = [
        migrations.AddField(
            "ensemble",
            "powers",
            models.JSONField(default=dict, db_default=models.Value({}, models.JSONField())),
        ),
    ]
