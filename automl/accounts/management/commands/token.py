from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from automl.accounts.models import User
from automl.accounts.services import token_for


class Command(BaseCommand):
    help = "Make an API token for a user (who is made if missing) and print nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> str:
        username = check_username(options["username"])
        return token_for(username)


def check_username(username: str) -> str:
    """The name as it is stored, if it is one that a user may have."""
    field = User._meta.get_field("username")
    try:
        return str(field.clean(username, None))
    except ValidationError as error:
        raise CommandError(f"{username!r} can't be a username: {' '.join(error.messages)}") from error
