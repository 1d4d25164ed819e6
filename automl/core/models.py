from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Identified(models.Model):
    """Rows that clients name: an opaque identifier, and when it came to be."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class IdempotentAnswer(models.Model):
    """What a POST with an Idempotency-Key was answered, so that a retry gets the same."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    path = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)  # 0: the first request is still being answered
    body = models.JSONField(default=dict)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "path", "key"], name="one_answer_per_key"),
        ]
        # The daily sweep deletes what is older than a day.
        indexes = [models.Index(fields=["created_at"], name="idempotent_age")]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"


class Worker(models.Model):
    """A worker process as its heartbeat tells: health is progress, not a living process."""

    name = models.CharField(max_length=255, unique=True)
    queue = models.CharField(max_length=16)
    seats = models.PositiveSmallIntegerField(default=1)
    threads_per_seat = models.PositiveSmallIntegerField(default=1)
    memory_per_seat = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Pulse(models.Model):
    """When something that has to happen again and again last happened."""

    name = models.CharField(primary_key=True, max_length=32)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Tally(models.Model):
    """How often something happened, ever."""

    name = models.CharField(primary_key=True, max_length=32)
    total = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Store(models.Model):
    """The one row that says which folder of files belongs to this database: see `automl.core.store`."""

    number = models.PositiveSmallIntegerField(primary_key=True, default=1)
    identifier = models.UUIDField(default=uuid.uuid4)

    def __str__(self) -> str:
        return str(self.identifier)
