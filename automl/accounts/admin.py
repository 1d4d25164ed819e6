from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from automl.accounts.forms import UserChangeForm, UserCreationForm
from automl.accounts.models import User


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User]):
    form = UserChangeForm
    add_form = UserCreationForm
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    readonly_fields = ("served_at",)
