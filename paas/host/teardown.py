"""Run by `bin/down --all` in Berth's mount namespace: takes down containers, network and cgroups."""

from __future__ import annotations

import sys
from functools import partial

from django.conf import settings

from paas.errors import BerthError
from paas.linux import writeback
from paas.linux.cgroups import Cgroup
from paas.worker import engine


def tear_down() -> list[str]:
    """Take down everything that containers use on this host. Goes on after a failure; the complaints."""
    complaints = []
    for container_id in engine.runtime().list():
        try:
            engine.runtime().delete(container_id)
        except (BerthError, OSError) as error:
            complaints.append(f"container {container_id}: {error}")
    # Builds' containers and conmons that no bundle tells of are in Berth's cgroup all the same.
    slices = Cgroup(settings.CGROUP_ROOT)
    own = Cgroup(settings.CONTROL_CGROUP)  # empty by now
    disks = partial(writeback.release, settings.PATHS.tenants)
    for work in (disks, slices.kill, slices.remove, own.remove, engine.network().remove_all):
        try:
            work()
        except (BerthError, OSError) as error:
            complaints.append(str(error))
    return complaints


if __name__ == "__main__":
    found = tear_down()
    print(*found, sep="\n", file=sys.stderr)
    sys.exit(1 if found else 0)
