from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0013_ensemble_powers")]

    operations = [
        migrations.AddField("trainedmodel", "asked_for", models.BooleanField(default=True)),
    ]
