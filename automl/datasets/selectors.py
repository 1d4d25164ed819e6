"""Reading datasets, always as somebody: what is not yours is not there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pyarrow as pa
from django.db.models import QuerySet, Sum
from django.http import Http404

from automl.accounts.models import User
from automl.core import storage
from automl.core.errors import Conflict, StorageUnavailable
from automl.datasets.models import Dataset, DatasetState
from automl.engine import reading


def list_datasets(user: User) -> QuerySet[Dataset]:
    """The user's datasets, newest first."""
    return Dataset.objects.filter(owner=user, deleted_at=None).order_by("-created_at", "id")


def get_dataset(*, user: User, id: UUID | str) -> Dataset:
    """One dataset of the user.

    Raises
    ------
    Http404
        If there is none, or it is somebody else's.
    """
    try:
        return list_datasets(user).get(id=UUID(str(id)))
    except (Dataset.DoesNotExist, ValueError) as error:
        raise Http404("There is no such dataset.") from error


def stored_bytes(user: User) -> int:
    """What the user's datasets take of the room that one user has."""
    total: int | None = list_datasets(user).order_by().aggregate(total=Sum("bytes"))["total"]
    return total or 0


def preview(dataset: Dataset, *, rows: int = 20, offset: int = 0) -> tuple[list[str], list[list[Any]]]:
    """Column names and the first rows, with JSON values and null for what is missing.

    Raises
    ------
    Conflict
        If the table has not been read yet, or could not be read.
    StorageUnavailable
        If the stored table is missing or damaged.
    """
    if dataset.state != DatasetState.READY:
        raise Conflict(f"The dataset is {dataset.state}; a preview is there once it is ready.")
    try:
        return reading.preview(storage.path_of(dataset.folder) / "table.arrow", rows, offset)
    except (OSError, pa.ArrowInvalid) as error:
        raise StorageUnavailable(
            "The stored table of this dataset is missing or damaged. Upload the file again, or have it "
            "restored "
            "from a backup."
        ) from error
