from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from automl.accounts import services
from automl.accounts.models import User

PASSWORD = "correct horse battery"


def link_of(user: User) -> str:
    return urlsplit(services.make_sign_in_link(user)).path


def is_signed_in(client: Client) -> bool:
    return client.get(reverse("pages:home")).status_code == 200


def test_a_link_signs_in_once(client, alice):
    link = link_of(alice)
    assert b"alice" in client.get(link).content
    assert not is_signed_in(client)
    assert client.post(link).headers["Location"] == reverse("pages:home")
    assert is_signed_in(client)
    other = Client()
    assert other.post(link).status_code == 410
    assert other.get(link).status_code == 410
    assert not is_signed_in(other)


@pytest.mark.parametrize("link", ["/sign-in/abc/def/", "/sign-in/00000000000000000000000000000000/1:2/"])
def test_a_wrong_link_signs_nobody_in(client, db, link):
    assert client.get(link).status_code == 410
    assert client.post(link).status_code == 410


def test_looking_at_a_link_does_not_use_it_up(client, alice):
    link = link_of(alice)
    for _ in range(3):
        assert client.get(link).status_code == 200
    assert client.post(link).status_code == 302


def test_a_password_signs_in(client, alice):
    answer = client.post(reverse("account_login"), {"login": "alice", "password": PASSWORD})
    assert answer.headers["Location"] == reverse("pages:home")
    assert is_signed_in(client)


def test_a_wrong_password_is_told_in_the_form(client, alice):
    answer = client.post(reverse("account_login"), {"login": "alice", "password": "wrong"})
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert not is_signed_in(client)


def test_signing_up(client, db):
    answer = client.post(
        reverse("account_signup"), {"username": "dora", "password1": PASSWORD, "password2": PASSWORD}
    )
    assert answer.status_code == 302
    assert is_signed_in(client)
    assert User.objects.filter(username="dora").exists()


def test_where_nobody_may_sign_up_nobody_is_asked_to(client, db, settings):
    assert "Make an account" in client.get("/accounts/login/").text
    settings.SIGNUP_OPEN = False
    assert "Make an account" not in client.get("/accounts/login/").text


def test_signing_out(browser_client):
    browser_client.post(reverse("account_logout"))
    assert not is_signed_in(browser_client)


def test_a_token_is_shown_once_and_works(browser_client, alice):
    address = reverse("pages:account")
    made = browser_client.post(address)
    token = re.search(r"<code>(\w{40,})</code>", made.content.decode()).group(1)
    assert "no-store" in made.headers["Cache-Control"]
    assert token not in browser_client.get(address).content.decode()
    program = Client(headers={"Authorization": f"Bearer {token}"})
    assert program.get("/api/v1/me/").status_code == 200


def test_times_of_tokens_are_told_without_a_zone(browser_client, alice):
    services.create_token(alice)
    (entry,) = services.list_tokens(alice)
    page = browser_client.get(reverse("pages:account")).content.decode()
    assert f'<time datetime="{entry.created_at:%Y-%m-%dT%H:%M}' in page
    assert re.search(r"<time [^>]+>(now|\d+\s\w+ ago)</time>", page)


def test_a_revoked_token_is_refused(browser_client, alice):
    token = services.create_token(alice)
    entry = services.list_tokens(alice)[0]
    browser_client.post(reverse("pages:revoke_token", args=[entry.key]))
    assert services.list_tokens(alice) == []
    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/api/v1/me/").status_code == 401


def test_nobody_revokes_a_token_of_somebody_else(charlies, alice):
    services.create_token(alice)
    entry = services.list_tokens(alice)[0]
    charlies.post(reverse("pages:revoke_token", args=[entry.key]))
    assert len(services.list_tokens(alice)) == 1
