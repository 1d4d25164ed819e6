from __future__ import annotations

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0003_tally")]

    operations = [
        migrations.CreateModel(
            "Store",
            [
                ("number", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("identifier", models.UUIDField(default=uuid.uuid4)),
            ],
        ),
    ]
