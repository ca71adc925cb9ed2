import django

django.setup()  # pytest reads this file before pytest-django would do it

from tests.images.tools import docker, podman  # noqa: E402
from tests.web.cast import cast, platform  # noqa: E402
from tests.worker.host import host  # noqa: E402
from tests.worker.registries import world  # noqa: E402
from tests.worker.workbench import bench  # noqa: E402

__all__ = ["bench", "cast", "docker", "host", "platform", "podman", "world"]
