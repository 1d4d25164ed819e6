"""Whole files, predicted on the service's workers."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, cast

from automl.client.errors import WorkFailed
from automl.client.files import Progress, download, upload_form
from automl.client.shapes import FilePrediction
from automl.client.transport import Transport

PARQUET_NAMES = (".parquet", ".pq")
UNFINISHED = frozenset({"waiting", "running"})
Change = Callable[[FilePrediction], None]


class Predictions:
    """Files that models predict."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def start(
        self,
        model: str,
        path: str | os.PathLike[str],
        *,
        level: float | None = None,
        on_progress: Progress | None = None,
    ) -> FilePrediction:
        """Send a file to be predicted, streamed from disk; see `wait`.

        Parameters
        ----------
        model : str
        path : path
            CSV, also compressed with gzip, or Parquet.
        level : float, optional
            0.9 for example: also write intervals, or sets of classes, that hold the truth in this share
            of rows.
        on_progress : callable, optional
            Called with the bytes sent and the bytes in all.
        """
        path = Path(path)
        params = {"background": "true"} | ({} if level is None else {"level": str(level)})
        with path.open("rb") as file:
            answer = self._transport.call(
                "POST",
                f"models/{model}/predict/",
                params=params,
                make=upload_form(path, file, on_progress),
            )
        return cast(FilePrediction, answer.json())

    def get(self, id: str) -> FilePrediction:
        """Give one prediction: how far it is."""
        return cast(FilePrediction, self._transport.get(f"predictions/{id}/"))

    def list(self, model: str) -> Iterator[FilePrediction]:
        """Walk over the files of a model, newest first."""
        return self._transport.pages(f"models/{model}/predictions/")

    def wait(
        self, id: str, *, timeout: float | None = None, on_change: Change | None = None
    ) -> FilePrediction:
        """Wait until the file is predicted, or raise `WorkFailed` with the reason."""
        found: FilePrediction = self._transport.wait(
            f"predictions/{id}/",
            done=lambda p: p["status"] not in UNFINISHED,
            timeout=timeout,
            on_change=on_change,
        )
        if found["status"] != "complete":
            raise WorkFailed(found["error"] or f"The prediction was {found['status']}.")
        return found

    def download(
        self, id: str, path: str | os.PathLike[str], *, form: Literal["csv", "parquet"] = "csv"
    ) -> Path:
        """Save the prediction columns, streamed to disk; only a whole file takes the name."""
        address = f"predictions/{id}/download/?format={form}"
        fallback = f"predictions.{form}"
        return download(self._transport, address, Path(path), fallback=fallback, on_progress=None)

    def delete(self, id: str) -> None:
        """Cancel one that waits or runs; remove one that has ended, with its files."""
        # A second one would remove what the first, whose answer was lost, has only cancelled.
        self._transport.call("DELETE", f"predictions/{id}/", again=False)

    def predict_file(
        self,
        model: str,
        path: str | os.PathLike[str],
        out: str | os.PathLike[str],
        *,
        level: float | None = None,
        on_change: Change | None = None,
    ) -> FilePrediction:
        """Have a file predicted and save what comes of it.

        Parquet where `out` ends in `.parquet` or `.pq`, gzipped CSV where it ends in `.gz`, else CSV.
        """
        found = self.wait(self.start(model, path, level=level)["id"], on_change=on_change)
        out = Path(out)
        suffix = out.suffix.lower()
        if suffix == ".gz" and not out.is_dir():
            self._download_packed(found["id"], out)
        else:
            self.download(found["id"], out, form="parquet" if suffix in PARQUET_NAMES else "csv")
        return found

    def _download_packed(self, id: str, out: Path) -> None:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            plain, packed = Path(folder, "plain"), Path(folder, "packed")
            self.download(id, plain)
            with plain.open("rb") as source, gzip.open(packed, "wb") as target:
                shutil.copyfileobj(source, target)
            packed.replace(out)
