"""Django's user forms, bound to our own user model."""

from __future__ import annotations

from django.contrib.auth import forms

from automl.accounts.models import User


class UserCreationForm(forms.AdminUserCreationForm[User]):
    class Meta:
        model = User
        fields = ("username", "email")


class UserChangeForm(forms.UserChangeForm[User]):
    class Meta:
        model = User
        fields = "__all__"
