from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0002_pulse")]

    operations = [
        migrations.CreateModel(
            "Tally",
            [
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("total", models.BigIntegerField(default=0)),
            ],
        ),
    ]
