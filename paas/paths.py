"""Where things are on this host: every path that Berth makes, in one place.

State survives a reboot; the run folder does not. All parts of a path are server-made ids or digests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CODE_DIGEST = ".digest"  # in the folder of the installed code: which one it is


@dataclass(frozen=True, slots=True)
class Paths:
    state: Path
    run: Path

    # --- state
    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def database(self) -> Path:
        return self.state / "db" / "berth.sqlite3"

    @property
    def sources(self) -> Path:
        """Uploaded archives, written by the web process and read by the worker."""
        return self.state / "sources"

    @property
    def exports(self) -> Path:
        """Images to download, written by the worker and read by the streams process."""
        return self.state / "exports"

    @property
    def store(self) -> Path:
        """The content store: blobs, layers, images, build steps. Root's."""
        return self.state / "store"

    @property
    def store_names(self) -> Path:
        """What each base image's name means. Written by root, read by the web process."""
        return self.state / "store-names"

    @property
    def work(self) -> Path:
        """A folder for each build that is being made: its source, unpacked. Root's."""
        return self.state / "work"

    @property
    def tenants(self) -> Path:
        """One folder a tenant with its disk image. Root's."""
        return self.state / "tenants"

    @property
    def caddy_config(self) -> Path:
        """What Caddy starts from."""
        return self.state / "caddy" / "boot.json"

    @property
    def routes(self) -> Path:
        """A folder a host: where Caddy looks for each request's way. Root writes it, Caddy reads it."""
        return self.state / "routes"

    def build_log(self, build_id: str) -> Path:
        return self.state / "logs" / "builds" / f"{build_id}.log"

    def container_log(self, container_id: str) -> Path:
        return self.state / "logs" / "containers" / f"{container_id}.log"

    def release_log(self, release_id: str) -> Path:
        return self.state / "logs" / "releases" / f"{release_id}.log"

    # --- run
    @property
    def mount_namespace(self) -> Path:
        """The pinned mount namespace that worker and agent live in (see paas.linux.namespaces)."""
        return self.run / "ns" / "mount"

    @property
    def user_namespaces(self) -> Path:
        """One pinned user namespace for each tenant."""
        return self.run / "users"

    @property
    def prepared(self) -> Path:
        """A file for each tenant with what its space was last brought up to."""
        return self.run / "prepared"

    @property
    def layer_views(self) -> Path:
        """One id-mapped view of the layer store for each tenant."""
        return self.run / "views"

    @property
    def disks(self) -> Path:
        """One mounted disk for each tenant."""
        return self.run / "disks"

    @property
    def disk_views(self) -> Path:
        """The same disks seen with the tenants' own ids: what containers write through."""
        return self.run / "disk-views"

    @property
    def runtime(self) -> Path:
        """The OCI runtime's own state (crun --root)."""
        return self.run / "crun"

    @property
    def rootfs(self) -> Path:
        """One merged overlay for each container."""
        return self.run / "rootfs"

    @property
    def bundles(self) -> Path:
        return self.run / "bundles"

    @property
    def nothing(self) -> Path:
        """An empty folder, shown over the kernel's folders that containers must not see."""
        return self.run / "nothing"

    @property
    def transfers(self) -> Path:
        """A registry's password for each container that pulls or pushes, in a folder of its own."""
        return self.run / "transfers"

    @property
    def locks(self) -> Path:
        return self.run / "locks"

    @property
    def exits(self) -> Path:
        """conmon writes a file named by the container's id here when it ends."""
        return self.run / "exits"

    @property
    def woken(self) -> Path:
        """A file for each wake of a container that no row tells of yet."""
        return self.run / "woken"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "sockets" / "valkey.sock"

    @property
    def web_socket(self) -> Path:
        return self.run / "sockets" / "web.sock"

    @property
    def streams_socket(self) -> Path:
        return self.run / "sockets" / "streams.sock"

    @property
    def caddy_admin_socket(self) -> Path:
        return self.run / "sockets" / "caddy.sock"
