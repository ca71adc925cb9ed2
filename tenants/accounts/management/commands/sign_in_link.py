from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.accounts.actions import make_sign_in_link
from tenants.accounts.models import User
from tenants.accounts.secrets import sign_in_url


class Command(BaseCommand):
    help = "Print a link that signs one person in, once, within 24 hours."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower(), is_active=True).first()
        if person is None:
            raise CommandError(f"nobody has the address {options['email']}; see the list of people")
        self.stdout.write(sign_in_url(make_sign_in_link(actor=None, user=person)))
