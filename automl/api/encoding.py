"""How bodies are read and written: JSON only, within a limit, and never with NaN in it."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils.datastructures import MultiValueDict
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser, MultiPartParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from automl.core import storage
from automl.core.errors import TooLarge

CHUNK = 1 << 16
# What a form adds to the file it carries.
FORM_MARGIN = 1 << 20


class LimitedJSONParser(JSONParser):
    """JSON up to a size: a body is read whole, so it must be small."""

    def limit(self) -> int:
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        limit = self.limit()
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(
                f"The body is over the limit of {limit / 2**20:.0f} MB for JSON. Send it in parts."
            )
        try:
            return super().parse(io.BytesIO(body), media_type, parser_context)
        except (RecursionError, LookupError) as error:  # nested without end; a charset nobody knows
            raise ParseError("The body can't be read as JSON in UTF-8.") from error


class RowsParser(LimitedJSONParser):
    """JSON that carries rows of a table."""

    def limit(self) -> int:
        return 4 * super().limit()


class Counted:
    """A body, and how much of it arrived: where a connection is cut, the server below just ends it."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self._arrived = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self._arrived += len(data)
        return data

    def check(self, request: Request) -> None:
        """Refuse what was read to its end, and is shorter than announced."""
        if self._arrived < (announced := announced_bytes(request)):
            raise ParseError(f"Only {self._arrived} of {announced} bytes of the body arrived. Send it again.")


class UploadParser(MultiPartParser):
    """A form with a file, streamed to disk by `settings.FILE_UPLOAD_HANDLERS`."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        request, body = parser_context["request"], Counted(stream)
        parsed = super().parse(body, media_type, parser_context)  # type: ignore[arg-type]
        if getattr(request._request, "upload_too_large", False):
            raise upload_too_large()
        body.check(request)
        return parsed


class BodyParser(BaseParser):
    """A body that is a file, streamed to disk as a form's would be."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        request, body = parser_context["request"], Counted(stream)
        # On its way it lies on the disk twice.
        storage.require_space(2 * announced_bytes(request))
        file = TemporaryUploadedFile("rows", self.media_type, 0, None)
        try:
            while chunk := body.read(CHUNK):
                file.size = (file.size or 0) + len(chunk)
                if file.size > settings.MAX_UPLOAD_BYTES:
                    raise upload_too_large()
                file.write(chunk)
            body.check(request)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return MultiValueDict({"file": [file]})


def refuse_long_body(request: Request) -> None:
    """Say that a body is too long before it is read: nobody has to send half a gigabyte to hear no."""
    if announced_bytes(request) > settings.MAX_UPLOAD_BYTES + FORM_MARGIN:
        raise upload_too_large()


def announced_bytes(request: Request) -> int:
    """How long the body is to be, or 0 where that is not said."""
    announced = request.META.get("CONTENT_LENGTH") or ""
    return int(announced) if announced.isdecimal() else 0


def upload_too_large() -> TooLarge:
    return TooLarge(
        f"The upload is over the limit of {settings.MAX_UPLOAD_BYTES / 2**20:.0f} MB. "
        "Compress the file with gzip, save it as Parquet, or take a sample of its rows."
    )


class FiniteJSONRenderer(JSONRenderer):
    """JSON in which a number that is not finite is null."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        try:
            return super().render(data, *args, **kwargs)
        except ValueError:  # strict JSON: found one
            return super().render(_finite(data), *args, **kwargs)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


class JSONAlways(BaseContentNegotiation):
    """There is one representation, so `Accept` is not asked: a browser's or curl's gets it too."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        sent = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == sent), None)

    def select_renderer(  # type: ignore[override]
        self,
        request: Request,
        renderers: Sequence[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], str(renderers[0].media_type)
