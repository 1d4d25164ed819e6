from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0004_losses")]

    operations = [
        migrations.AddField("trial", "waiting_since", models.DateTimeField(null=True)),
    ]
