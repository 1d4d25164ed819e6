from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datasets", "0001_initial")]

    operations = [migrations.AddField("dataset", "losses", models.PositiveSmallIntegerField(default=0))]
