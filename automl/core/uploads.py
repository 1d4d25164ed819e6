"""Uploads go to disk as they arrive, and stop at the limit instead of after it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler

from automl.core import storage


class LimitedTemporaryFileUploadHandler(TemporaryFileUploadHandler):
    """Streams to a temporary file; one byte over the limit ends the upload."""

    def handle_raw_input(
        self, input_data: Any, META: dict[str, str], content_length: int, boundary: Any, encoding: Any = None
    ) -> None:
        self._left: int = settings.MAX_UPLOAD_BYTES
        # On its way it lies on the disk twice.
        storage.require_space(2 * min(content_length, settings.MAX_UPLOAD_BYTES))

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._left -= len(raw_data)
        if self._left < 0:
            assert self.request is not None
            self.request.upload_too_large = True  # type: ignore[attr-defined]
            raise StopUpload(connection_reset=True)
        super().receive_data_chunk(raw_data, start)
