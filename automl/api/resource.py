"""What every resource of the API does alike: who may ask, how it is read, answered and described."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ViewSet

from automl.accounts.models import User
from automl.api.conditional import weak_etag
from automl.api.encoding import FiniteJSONRenderer, JSONAlways, LimitedJSONParser
from automl.api.pagination import CursorPagination
from automl.api.permissions import BearerToken, BrowserSession
from automl.api.rates import WindowRate
from automl.api.schema import ProblemSchema
from automl.core.downloads import has_it, not_modified

POLL_SECONDS = 1


class LengthRequired(APIException):
    """A body that comes in chunks would be taken for none (HTTP 411)."""

    status_code = 411
    default_detail = "The body comes without its length. Send it whole, with Content-Length, not in chunks."


class Resource(ViewSet):
    """Base of all views."""

    authentication_classes = [BearerToken, BrowserSession]
    permission_classes = [IsAuthenticated]
    renderer_classes = [FiniteJSONRenderer]
    parser_classes = [LimitedJSONParser]
    content_negotiation_class = JSONAlways
    throttle_classes = [WindowRate]
    metadata_class = None
    schema = ProblemSchema()
    # Problems that some actions have beside those of their method, for the OpenAPI document.
    problems: ClassVar[dict[str, list[str]]] = {}

    @property
    def user(self) -> User:
        assert isinstance(self.request.user, User)
        return self.request.user

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        is_in_chunks = "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH")
        if is_in_chunks and request.method in ("POST", "PATCH"):
            raise LengthRequired

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Give every GET its ETag: where the view named none, the hash of the body."""
        answer: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        if request.method not in ("GET", "HEAD") or answer.status_code != 200:
            return answer
        answer.headers.setdefault("Cache-Control", "private, no-cache")
        if "ETag" not in answer.headers and isinstance(answer, Response):
            answer.render()
            answer.headers["ETag"] = weak_etag(answer.content)
            if has_it(request, answer.headers["ETag"]):
                return not_modified(answer)
        return answer

    def unchanged(self, etag: str, *, unfinished: bool = False) -> HttpResponseBase | None:
        """The 304 to a client that has this version already; then nothing need be read for a body."""
        if not has_it(self.request, etag):
            return None
        response = Response(headers={"ETag": etag, "Cache-Control": "private, no-cache"})
        return not_modified(waiting(response, unfinished))

    def valid(self, serializer_class: type[BaseSerializer[Any]]) -> dict[str, Any]:
        """The body, checked; ValidationError names every field that is wrong."""
        # "null" is a body too, and no object; without this it would count as none.
        body: Any = [] if self.request.data is None else self.request.data
        serializer = serializer_class(data=body)
        serializer.is_valid(raise_exception=True)
        data: dict[str, Any] = serializer.validated_data
        return data


class Paged:
    """A resource whose lists come in pages."""

    pagination_class: type[CursorPagination] = CursorPagination

    def page(self, rows: Any, request: Request) -> tuple[CursorPagination, list[Any]]:
        paginator = self.pagination_class()
        return paginator, paginator.paginate_queryset(rows, request) or []


def waiting(response: Response, unfinished: bool) -> Response:
    """Say when to ask again, if what is shown is not final."""
    if unfinished:
        response.headers["Retry-After"] = str(POLL_SECONDS)
    return response


def identifier(text: str, what: str) -> UUID:
    """The identifier in an address; what can't be one names nothing."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404(f"There is no such {what}.") from error
