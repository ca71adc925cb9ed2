import django

django.setup()  # pytest reads this file before pytest-django would do it

from tests.cli.berth import berth, cast, worker  # noqa: E402
from tests.web.cast import platform  # noqa: E402

__all__ = ["berth", "cast", "platform", "worker"]
