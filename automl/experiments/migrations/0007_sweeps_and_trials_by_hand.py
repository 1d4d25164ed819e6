from __future__ import annotations

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0006_diagnosis")]

    operations = [
        migrations.AddField("experiment", "by_hand_only", models.BooleanField(default=False)),
        migrations.CreateModel(
            name="Sweep",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("family", models.CharField(max_length=32)),
                ("grid", models.JSONField(default=dict)),
                ("base", models.JSONField(default=dict)),
                ("size", models.PositiveIntegerField(default=0)),
                ("skipped", models.PositiveIntegerField(default=0)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sweeps",
                        to="experiments.experiment",
                    ),
                ),
            ],
            options={"abstract": False},
        ),
        migrations.AddField(
            "trial",
            "sweep",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="trials",
                to="experiments.sweep",
            ),
        ),
        migrations.AddField("trial", "prediction", models.JSONField(null=True)),
    ]
