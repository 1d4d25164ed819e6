from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0010_ensemble_gain")]

    operations = [migrations.AddField("prediction", "level", models.FloatField(null=True))]
