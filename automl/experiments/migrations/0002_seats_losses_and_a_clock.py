from __future__ import annotations

from django.db import migrations, models
from django.utils import timezone


def wind_up(apps, schema_editor):
    """Until now the budget counted from the first trial's start to the end, or to now."""
    now = timezone.now()
    for experiment in apps.get_model("experiments", "Experiment").objects.exclude(started_at=None):
        end = experiment.finished_at or now
        experiment.spent = max((end - experiment.started_at).total_seconds(), 0.0)
        experiment.clock_at = None if experiment.finished_at else now
        experiment.save(update_fields=["spent", "clock_at"])


class Migration(migrations.Migration):
    dependencies = [("experiments", "0001_initial")]

    operations = [
        migrations.AddField("experiment", "seats", models.PositiveSmallIntegerField(null=True)),
        migrations.AddField("experiment", "spent", models.FloatField(default=0)),
        migrations.AddField("experiment", "clock_at", models.DateTimeField(null=True)),
        migrations.AddField("trial", "losses", models.PositiveSmallIntegerField(default=0)),
        migrations.RunPython(wind_up, migrations.RunPython.noop),
    ]
