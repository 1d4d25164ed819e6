"""Light and dark: kept in a cookie, so that the first paint has it already."""

from __future__ import annotations

import pytest
from django.urls import reverse


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_choice_is_in_the_next_page(client, db, theme):
    answer = client.post(
        reverse("pages:appearance"),
        {"theme": theme},
        headers={"referer": "http://testserver/accounts/login/"},
    )
    assert answer.headers["Location"] == "/accounts/login/"
    page = client.get(reverse("account_login")).content.decode()
    assert f'<html lang="en" data-theme="{theme}">' in page


def test_the_system_decides_again(client, db):
    client.post(reverse("pages:appearance"), {"theme": "dark"})
    client.post(reverse("pages:appearance"), {"theme": "system"})
    assert "data-theme=" not in client.get(reverse("account_login")).content.decode().split("<head>")[0]


def test_nonsense_in_the_cookie_is_not_written_into_the_page(client, db):
    client.cookies["theme"] = '"><script>'
    assert '<html lang="en">' in client.get(reverse("account_login")).content.decode()


def test_one_is_not_led_elsewhere(client, db):
    answer = client.post(
        reverse("pages:appearance"), {"theme": "dark"}, headers={"referer": "https://example.org/"}
    )
    assert answer.headers["Location"] == reverse("pages:home")
