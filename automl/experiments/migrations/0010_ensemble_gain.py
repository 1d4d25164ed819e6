from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0009_why_a_trial_was_tried_and_failed")]

    operations = [migrations.AddField("ensemble", "gain", models.FloatField(null=True))]
