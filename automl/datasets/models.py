from __future__ import annotations

from django.conf import settings
from django.db import models

from automl.core.models import Identified


class DatasetState(models.TextChoices):
    PROFILING = "profiling"
    READY = "ready"
    FAILED = "failed"


class Dataset(Identified):
    """One uploaded table, its columns and checks."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=200)
    filename = models.CharField(max_length=255)
    state = models.CharField(max_length=16, choices=DatasetState, default=DatasetState.PROFILING)
    error = models.TextField(blank=True)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    rows = models.BigIntegerField(null=True)
    duplicates = models.BigIntegerField(default=0)
    columns = models.JSONField(default=list)  # ColumnProfile as JSON, kinds as the user corrected them
    warnings = models.JSONField(default=list)
    dialect = models.JSONField(default=dict)
    suggested_target = models.CharField(max_length=500, blank=True)
    suggested_task_type = models.CharField(max_length=16, blank=True)
    progress = models.FloatField(default=0)
    version = models.PositiveIntegerField(default=0)  # raised by every change that a reader can see
    attempt = models.PositiveSmallIntegerField(default=0)
    losses = models.PositiveSmallIntegerField(default=0)  # attempts that ended with their process
    lease_expires_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # A user's list, newest first.
            models.Index(fields=["owner", "-created_at"], name="dataset_list"),
            # The sweep looks for datasets still being profiled.
            models.Index(fields=["state", "lease_expires_at"], name="dataset_lease"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        """Key of the folder of the dataset's files in the private storage."""
        return f"datasets/{self.id}"
