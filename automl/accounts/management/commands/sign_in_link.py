from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from automl.accounts.management.commands.token import check_username
from automl.accounts.services import get_or_create_user, make_sign_in_link


class Command(BaseCommand):
    help = "Print a link that signs a user in once. The user is made if missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> str:
        return make_sign_in_link(get_or_create_user(check_username(options["username"])))
