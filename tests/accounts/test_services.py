from __future__ import annotations

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from knox.models import AuthToken

from automl.accounts import services
from automl.accounts.adapter import AccountAdapter
from automl.accounts.forms import UserCreationForm
from automl.accounts.models import User
from automl.accounts.quotas import quotas
from tests.api.conftest import client_of
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def parts(link):
    uid, token = link.removesuffix("/").split("/")[-2:]
    return uid, token


# --- Tokens -------------------------------------------------------------------------------------


def test_a_token_opens_the_api_and_is_kept_only_as_its_hash(alice):
    token = services.create_token(alice)
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert client.get("me/").json()["user"]["username"] == "alice"
    row = AuthToken.objects.get()
    assert token not in (row.digest, row.token_key)
    assert row.expiry is None


def test_a_revoked_token_opens_nothing(alice):
    token = services.create_token(alice)
    (entry,) = services.list_tokens(alice)
    assert services.revoke_token(alice, entry.key)
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert client.get("me/").status_code == 401
    assert services.list_tokens(alice) == []


def test_nobody_revokes_the_token_of_another(alice, charlie):
    services.create_token(alice)
    (entry,) = services.list_tokens(alice)
    assert not services.revoke_token(charlie, entry.key)
    assert services.list_tokens(charlie) == []
    assert len(services.list_tokens(alice)) == 1


def test_a_list_of_tokens_does_not_tell_them(alice):
    token = services.create_token(alice)
    (entry,) = services.list_tokens(alice)
    assert token.startswith(entry.shown[:-1])
    assert token not in repr(entry)


def test_the_command_prints_nothing_but_a_token_and_makes_the_user(capsys):
    call_command("token", "dora")
    printed = capsys.readouterr()
    token = printed.out.strip()
    assert printed.err == ""
    assert printed.out == f"{token}\n"
    dora = User.objects.get(username="dora")
    assert not dora.has_usable_password()
    client = client_of(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert client.get("me/").json()["user"]["id"] == str(dora.id)


def test_the_command_leaves_a_user_as_she_is(alice, capsys):
    before = alice.password
    call_command("token", "alice")
    alice.refresh_from_db()
    assert alice.password == before
    assert User.objects.count() == 1


@pytest.mark.parametrize("name", ["", "two words", "x" * 151])
@pytest.mark.parametrize("command", ["token", "sign_in_link"])
def test_a_name_that_is_none_is_told(command, name):
    with pytest.raises(CommandError, match="can't be a username"):
        call_command(command, name)
    assert User.objects.count() == 0


# --- Sign-in links ------------------------------------------------------------------------------


def test_a_link_signs_in_once(alice):
    link = services.make_sign_in_link(alice)
    assert services.redeem_sign_in_link(*parts(link)) == alice
    assert services.redeem_sign_in_link(*parts(link)) is None


def test_looking_at_a_link_does_not_use_it_up(alice):
    link = services.make_sign_in_link(alice)
    for _ in range(3):
        assert services.check_sign_in_link(*parts(link)) == alice
    assert services.redeem_sign_in_link(*parts(link)) == alice


def test_of_two_at_once_one_signs_in(alice, monkeypatch):
    link = services.make_sign_in_link(alice)
    stale = services.check_sign_in_link(*parts(link))
    assert services.redeem_sign_in_link(*parts(link)) == alice
    monkeypatch.setattr(services, "check_sign_in_link", lambda uid, token: stale)
    assert services.redeem_sign_in_link(*parts(link)) is None


def test_a_link_ends_by_itself(alice, settings):
    settings.SIGN_IN_LINK_SECONDS = 60
    with time_machine.travel("2026-01-01 12:00", tick=False) as clock:
        link = services.make_sign_in_link(alice)
        clock.shift(59)
        assert services.check_sign_in_link(*parts(link)) == alice
        clock.shift(2)
        assert services.check_sign_in_link(*parts(link)) is None


def test_another_password_or_an_inactive_user_ends_a_link(alice):
    link = services.make_sign_in_link(alice)
    alice.set_password("another one, longer")
    alice.save()
    assert services.check_sign_in_link(*parts(link)) is None
    link = services.make_sign_in_link(alice)
    alice.is_active = False
    alice.save()
    assert services.check_sign_in_link(*parts(link)) is None


@pytest.mark.parametrize(
    ("uid", "token"), [("nothing", "x"), ("0" * 32, "x"), ("{own}", "x"), ("{own}", ""), ("{own}", "a:b:c")]
)
def test_a_link_that_is_made_up_signs_nobody_in(alice, uid, token):
    assert services.redeem_sign_in_link(uid.format(own=alice.pk.hex), token) is None


def test_a_link_of_one_user_does_not_sign_in_another(alice, bob):
    _, token = parts(services.make_sign_in_link(alice))
    assert services.redeem_sign_in_link(bob.pk.hex, token) is None


def test_the_link_points_to_the_public_address(alice, settings, capsys):
    settings.PUBLIC_URL = "https://bakeoff.example"
    call_command("sign_in_link", "alice")
    printed = capsys.readouterr().out
    assert printed.startswith(f"https://bakeoff.example/sign-in/{alice.pk.hex}/")
    assert services.redeem_sign_in_link(*parts(printed.strip())) == alice


# --- The rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_open", [True, False])
def test_the_operator_decides_who_may_join(settings, is_open):
    settings.SIGNUP_OPEN = is_open
    assert AccountAdapter().is_open_for_signup(RequestFactory().get("/")) is is_open


def test_quotas_are_the_settings(settings):
    settings.MAX_DATASETS, settings.MAX_UPLOAD_BYTES = 3, 7
    assert (quotas().datasets, quotas().upload_bytes) == (3, 7)


def test_an_operator_can_add_a_user_of_our_own_kind():
    form = UserCreationForm(
        {
            "username": "erin",
            "usable_password": "true",
            "password1": "a long one 12",
            "password2": "a long one 12",
        }
    )
    assert form.is_valid(), form.errors
    assert form.save().pk == User.objects.get(username="erin").pk


def test_the_admin_lists_users(client):
    admin = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(admin)
    assert admin.username in client.get("/admin/accounts/user/").content.decode()
    assert client.get(f"/admin/accounts/user/{admin.pk}/change/").status_code == 200
    assert client.get("/admin/accounts/user/add/").status_code == 200
