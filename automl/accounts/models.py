from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who owns datasets, experiments and models."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Fairness: the next free seat goes to whoever was served longest ago.
    served_at = models.DateTimeField(null=True, blank=True, editable=False)
