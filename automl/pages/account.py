from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from automl.accounts import services
from automl.pages.access import SignedInRequest, page, place_of_form

THEMES = ("light", "dark")
THEME_SECONDS = 365 * 24 * 3600
BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """A link that signs in once. Looking at it changes nothing: mail programs and chats open links."""
    if request.method == "POST":
        user = services.redeem_sign_in_link(uid, token)
        if user is not None:
            login(request, user, backend=BACKEND)
            return redirect("pages:home")
    else:
        user = services.check_sign_in_link(uid, token)
    return render(request, "pages/sign_in.html", {"invited": user}, status=200 if user else 410)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@page
def account(request: SignedInRequest) -> HttpResponse:
    """Tokens are made by POST and shown in its answer: nothing keeps them, not even the session."""
    token = services.create_token(request.user) if request.method == "POST" else None
    context = {"tokens": services.list_tokens(request.user), "token": token}
    return render(request, "pages/account.html", context)


@require_POST
@page
def revoke(request: SignedInRequest, key: str) -> HttpResponse:
    if services.revoke_token(request.user, key):
        messages.success(request, "The token is revoked. Programs that use it are refused from now on.")
    return redirect("pages:account")


@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    """Light, dark, or as the system: kept in a cookie, so that the first paint has it already."""
    answer = redirect(place_of_form(request))
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        # A script changes it without asking the server.
        answer.set_cookie(
            "theme", theme, max_age=THEME_SECONDS, samesite="Lax", secure=request.is_secure(), httponly=False
        )
    else:
        answer.delete_cookie("theme", samesite="Lax")
    return answer
