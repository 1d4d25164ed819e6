from __future__ import annotations

from django.db import migrations, models


def look_back(apps, schema_editor):
    """Until now the clock never stood still, and nothing was cancelled but by its search's end."""
    trials = apps.get_model("experiments", "Trial").objects
    trials.filter(state="cancelled").update(cut_short=True)
    for trial in trials.exclude(finished_at=None).exclude(experiment__started_at=None).select_related("experiment"):
        trial.ended_after = max((trial.finished_at - trial.experiment.started_at).total_seconds(), 0.0)
        trial.save(update_fields=["ended_after"])
    ensembles = apps.get_model("experiments", "Ensemble").objects
    for ensemble in ensembles.exclude(experiment__started_at=None).select_related("experiment"):
        ensemble.made_after = max((ensemble.created_at - ensemble.experiment.started_at).total_seconds(), 0.0)
        ensemble.save(update_fields=["made_after"])


class Migration(migrations.Migration):
    dependencies = [("experiments", "0002_seats_losses_and_a_clock")]

    operations = [
        migrations.AddField("experiment", "limits_version", models.PositiveIntegerField(default=0)),
        migrations.AddField("trial", "ended_after", models.FloatField(null=True)),
        migrations.AddField("trial", "cut_short", models.BooleanField(default=False)),
        migrations.AddField("ensemble", "made_after", models.FloatField(null=True)),
        migrations.RunPython(look_back, migrations.RunPython.noop),
    ]
