"""The Python client of the service: `Client(url, token)`. Needs httpx only."""

from automl.client.client import Client
from automl.client.errors import (
    ApiError,
    ConflictError,
    ConnectionFailed,
    DownloadDamaged,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    TooManyRequests,
    Unauthorized,
    WaitTimeout,
    WorkFailed,
)

__all__ = [
    "ApiError",
    "Client",
    "ConflictError",
    "ConnectionFailed",
    "DownloadDamaged",
    "InvalidRequest",
    "NotFound",
    "QuotaExceeded",
    "TooManyRequests",
    "Unauthorized",
    "WaitTimeout",
    "WorkFailed",
]
