from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0008_prediction")]

    operations = [
        migrations.AddField("trial", "reason", models.CharField(blank=True, max_length=200)),
        migrations.AddField("trial", "own_fault", models.BooleanField(default=False)),
    ]
