"""Who may see a page, and what people see when a service says no."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from automl.accounts.models import User
from automl.core import storage
from automl.core.errors import Conflict, QuotaExceeded, StorageFull, TooLarge, Unavailable
from automl.engine.errors import UserError

P = ParamSpec("P")
STATUS_OF_ERROR: tuple[tuple[type[UserError], int, str], ...] = (
    (TooLarge, 413, "That is too large"),
    (QuotaExceeded, 429, "That is over your limit"),
    (Conflict, 409, "Not possible just now"),
    (Unavailable, 503, "Not available just now"),
    (StorageFull, 507, "There is no room left"),
)


class SignedInRequest(HttpRequest):
    """A request whose user is known; views get it from `page`."""

    user: User


def page(
    view: Callable[Concatenate[SignedInRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A page for signed-in people; a service's refusal becomes a page that says why."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        try:
            return view(cast(SignedInRequest, request), *args, **kwargs)
        except UserError as error:
            return refusal(request, error)
        except OSError as error:
            if (told := storage.trouble(error)) is None:
                raise
            return refusal(request, told)

    return answer


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """A poll whose session has ended sends the whole page there, not the form into a fragment."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(settings.LOGIN_URL)})
    if request.method in ("GET", "HEAD"):
        return redirect_to_login(request.get_full_path())
    # A form that came too late: its own address may answer to POST only, so lead back to where it stood.
    return redirect_to_login(place_of_form(request))


def place_of_form(request: HttpRequest) -> str:
    """The page of ours that sent the form, or the start page."""
    came_from = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(
        came_from, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        found = urlsplit(came_from)
        return found.path + (f"?{found.query}" if found.query else "")
    return reverse("pages:home")


def by_script(request: HttpRequest) -> bool:
    """Whether a file was sent by the script that shows how far it is."""
    return request.headers.get("Accept") == "application/json"


def uploaded(request: HttpRequest, address: str) -> HttpResponse:
    """Say where to go after a file was taken in."""
    if by_script(request):
        return JsonResponse({"location": address}, status=201)
    return redirect(address)


def status_of(error: UserError) -> tuple[int, str]:
    """The HTTP status of an error and the heading above its text."""
    for kind, status, title in STATUS_OF_ERROR:
        if isinstance(error, kind):
            return status, title
    return 422, "That did not work"


def refusal(request: HttpRequest, error: UserError) -> HttpResponse:
    """The page of an error that was not one of a form's fields."""
    status, title = status_of(error)
    template = "413.html" if status == 413 else "pages/refusal.html"
    return render(request, template, {"title": title, "status": status, "error": str(error)}, status=status)
