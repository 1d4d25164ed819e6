"""Files are streamed through an authorised view, whole or in part."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from django.http import HttpRequest, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags

from automl.core.errors import Unavailable

CHUNK = 1 << 16
ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# What to do where a file is missing, and where it is damaged.
REMEDIES = {
    "model": (
        "have the model packaged anew, or its file restored from a backup",
        "Have its file restored from a backup, or start the experiment anew",
    ),
    "prediction": ("have the rows predicted anew", "Have the rows predicted anew"),
}
KEPT_HEADERS = ("ETag", "Cache-Control", "Content-Location", "Retry-After", "Vary")


class RangeNotSatisfiable(Exception):
    """The part of a file that was asked for does not exist."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The file has {size} bytes; the range that was asked for begins after them.")


def has_it(request: HttpRequest, etag: str) -> bool:
    """Whether the client said that it holds what the tag stands for."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return known == ["*"] or etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in known}


def not_modified(response: HttpResponseBase) -> HttpResponseNotModified:
    """The answer without its body."""
    answer = HttpResponseNotModified()
    for name in KEPT_HEADERS:
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def check_whole(path: Path, sha256: str, *, what: str = "model") -> None:
    """Hold a file against its digest before any of it is sent or used.

    Raises
    ------
    Unavailable
        If it is missing, or not what was stored; `what` it belongs to is told.
    """
    missing, damaged = REMEDIES[what]
    try:
        status = path.stat()
        whole = _digest(path, status.st_size, status.st_mtime_ns) == sha256
    except OSError as error:
        raise Unavailable(
            f"The {what}'s file is not in the storage just now. Try again; if it stays so, {missing}."
        ) from error
    if not whole:
        raise Unavailable(
            f"The {what}'s file is damaged: its checksum is not the one it was stored with. {damaged}.",
            retry_after=600,
        )


@functools.lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> str:
    """The digest of a file as it was at that time: a download in parts need not read it for each."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def send_file(
    request: HttpRequest, path: Path, *, filename: str, content_type: str, sha256: str, what: str = "model"
) -> HttpResponseBase:
    """Stream a file that never changes, once it is known to be whole.

    Raises
    ------
    Unavailable
        If it is missing, or damaged.
    RangeNotSatisfiable
        If the range that was asked for begins after the file's end.
    """
    check_whole(path, sha256, what=what)
    etag = f'"{sha256}"'
    size = path.stat().st_size
    part = _asked_range(request, size, etag)
    first, last = part or (0, size - 1)
    body = iter(()) if request.method == "HEAD" else _read(path, first, last - first + 1)
    response = StreamingHttpResponse(body, content_type=content_type, status=206 if part else 200)
    response.headers["ETag"] = etag
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Length"] = str(last - first + 1)
    response.headers["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
    response.headers["Cache-Control"] = "private, no-cache"
    if part:
        response.headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return not_modified(response) if has_it(request, etag) else response


def _asked_range(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte, or None for the whole file: also where several ranges are asked for."""
    asked = ONE_RANGE.fullmatch(request.headers.get("Range", "").strip())
    if asked is None or asked.group(0) == "bytes=-":
        return None
    # The rest of another version would not fit to what the client has.
    if request.headers.get("If-Range", etag) != etag:
        return None
    begin, end = asked.groups()
    if not begin:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(begin), min(int(end), size - 1) if end else size - 1
        if end and int(end) < first:
            return None
    if first >= size:
        raise RangeNotSatisfiable(size)
    return first, last


def _read(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(CHUNK, length))):
            length -= len(chunk)
            yield chunk
