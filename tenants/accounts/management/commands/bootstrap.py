from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from paas.errors import BerthError
from tenants.accounts.actions import make_sign_in_link
from tenants.accounts.bootstrap import bootstrap
from tenants.accounts.secrets import sign_in_url


class Command(BaseCommand):
    help = "Make the first administrator and the first tenant, unless they are there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default="admin@berth.localhost")
        parser.add_argument("--tenant", default="demo")
        parser.add_argument("--print-link", action="store_true", help="also print a one-time sign-in link")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person = bootstrap(email=options["email"], tenant=options["tenant"])
            if options["print_link"]:
                self.stdout.write(sign_in_url(make_sign_in_link(actor=None, user=person)))
        except BerthError as error:
            raise CommandError(str(error)) from error
