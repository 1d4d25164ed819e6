"""How the OpenAPI document says what every operation has in common."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from automl.api.errors import MEDIA_TYPE
from automl.api.serializers.about import ProblemSerializer
from automl.api.serializers.fields import StrictSerializer

PROBLEMS = {
    "400": "The body can't be read.",
    "401": "No token, or one that does not work.",
    "403": "A browser's request without its CSRF token.",
    "404": "There is no such object, or it is somebody else's.",
    "409": "The object's state does not allow this now.",
    "411": "The body comes in chunks, without a `Content-Length`.",
    "413": "The body is over the limit.",
    "416": "The range begins after the file's end.",
    "415": "The body has a content type that is not taken here.",
    "422": "Something in the request can't be used; `errors` names the fields.",
    "429": "Too many requests, or a quota is used up; see `Retry-After`.",
    "503": "A part of the service is not there just now.",
    "507": "The disk has no room for this just now.",
}
TEXT = {"schema": {"type": "string"}}
SECONDS = {"schema": {"type": "integer", "minimum": 0}}


class ProblemSchema(AutoSchema):
    """Adds to each operation its headers and the problems that it may answer with."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        responses = operation["responses"]
        self._add_headers(operation, responses)
        content = {MEDIA_TYPE: {"schema": self.resolve_serializer(ProblemSerializer, "response").ref}}
        for status in self._statuses():
            problem: dict[str, Any] = {"description": PROBLEMS[status], "content": content}
            if status in ("429", "503", "507"):
                problem["headers"] = {"Retry-After": SECONDS}
            if status == "401":
                problem["headers"] = {"WWW-Authenticate": TEXT}
            responses.setdefault(status, problem)
        return operation

    def _statuses(self) -> list[str]:
        if not self.view.permission_classes:
            return []
        found = {"401", "429"}
        if "{" in self.path:
            found.add("404")
        if self.method == "GET":
            asks = self._is_list_view() or any(
                isinstance(p, OpenApiParameter) and p.location == OpenApiParameter.QUERY
                for p in self.get_override_parameters()
            )
            found |= {"422"} if asks else set()
        else:
            found |= {"403", "409"}
        if self.method in ("POST", "PATCH"):
            found |= {"400", "411", "413", "415", "422", "503"}
        found |= set(getattr(self.view, "problems", {}).get(getattr(self.view, "action", ""), ()))
        return sorted(found)

    def _map_serializer(self, serializer: Any, *args: Any, **kwargs: Any) -> Any:
        mapped = super()._map_serializer(serializer, *args, **kwargs)  # type: ignore[no-untyped-call]
        if isinstance(serializer, StrictSerializer) and "$ref" not in mapped:
            mapped["additionalProperties"] = False
        return mapped

    def _add_headers(self, operation: dict[str, Any], responses: dict[str, Any]) -> None:
        parameters = operation.setdefault("parameters", [])
        if self.method == "GET":
            parameters.append(
                _header(
                    "If-None-Match", "ETags that the client holds: what has not changed is answered by 304."
                )
            )
            for status in ("200", "206"):
                if status in responses:
                    responses[status].setdefault("headers", {})["ETag"] = TEXT
            responses["304"] = {"description": "Not modified.", "headers": {"ETag": TEXT}}
        if self.method == "POST":
            parameters.append(
                _header(
                    "Idempotency-Key", "The same key and body get the same answer; the work is done once."
                )
            )
        for status in ("201", "202"):
            if status in responses:
                headers = responses[status].setdefault("headers", {})
                headers.update({"Location": TEXT, "Retry-After": SECONDS})


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
