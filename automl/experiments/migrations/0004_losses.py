from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0003_a_search_that_goes_on")]

    operations = [
        migrations.AddField("experiment", "losses", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("trainedmodel", "losses", models.PositiveSmallIntegerField(default=0)),
    ]
