"""`berth commit`: what a running container changed, as one more layer of its image."""

from __future__ import annotations

from dataclasses import replace

from django.utils import timezone

from paas import __version__
from paas.errors import StepFailed
from paas.oci.config import History
from paas.worker import disk, engine, kept, sleep
from tenants.containers.models import Container
from tenants.releases import observations, serial
from tenants.releases.models import Release

MOST_BYTES = 8 * 1024**3
MOST_FILES = 500_000


def make_image(release: Release) -> None:
    """Give `release` the image that it was made for. Doing it again after a crash gives the same kind of image.

    The container stands still while its files are read, so that they belong together. StepFailed when it has
    ended meanwhile, BadInput when what it wrote cannot be in an image, HostProblem on a disk almost full.
    """
    disk.demand_room("the commit")
    store, runtime = kept.store_for(release.app.tenant, "the commit"), engine.runtime()
    container_id = release.committed_from
    if runtime.state(container_id).status != "running":
        raise StepFailed(
            f"container {container_id} ended before its changes could be taken",
            hint="commit one that runs",
        )
    base = serial.image(release)
    row = Container.objects.get(pk=container_id)
    with sleep.awake(row), runtime.frozen(container_id):
        upper, stubs = runtime.written(container_id)
        layer = store.commit_changeset(upper, exclude=stubs, max_bytes=MOST_BYTES, max_files=MOST_FILES)
    if layer.files == 0 or layer.diff_id in base.layers:
        raise StepFailed("the container's files are those of its image", hint="there is nothing to commit")
    now = timezone.now().isoformat(timespec="seconds")
    # What provenance tells of it.
    step = History(f"berth commit of {release.commit}", now, comment=base.digest, author=f"berth {__version__}")
    config = replace(store.config(base.digest), created=now).with_layer(layer.diff_id, step)
    observations.release_committed(release, store.put_image(config))
