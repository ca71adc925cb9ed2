"""Images in from elsewhere and out again: the digests stay, nothing is believed, nothing stays on an error."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paas.errors import BadInput, HostProblem, NotFound
from paas.images import LoadLimits, Store
from paas.oci.config import Healthcheck, History, ImageConfig
from paas.oci.digest import of_bytes
from tests.images import foreign
from tests.images.conftest import open_descriptors
from tests.images.foreign import Foreign, blobs, descriptor, docker_archive, layout, packed, unpacked, written
from tests.images.test_store import age, objects

MIB = 1024 * 1024
pytestmark = pytest.mark.kernel


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def saved(store: Store, digest: str, name: str = "") -> io.BytesIO:
    out = io.BytesIO()
    store.save_archive(digest, out, name=name)
    out.seek(0)
    return out


def our_image(store: Store, upper: Path) -> str:
    (upper / "etc").mkdir()
    (upper / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (upper / "run").symlink_to("var/run")
    bottom = store.commit_changeset(upper).diff_id
    (upper / "app").write_bytes(b"app" * 5000)
    top = store.commit_changeset(upper).diff_id
    config = ImageConfig(cmd=("/app",), env=(("A", "1"),)).with_layer(bottom, History("FROM"))
    return store.put_image(config.with_layer(top, History("COPY"))).digest


# --- what is ours
def test_our_own_image_goes_round_without_a_change(store: Store, other: Store, upper: Path) -> None:
    digest = our_image(store, upper)
    archive = saved(store, digest, "shop:v1")
    assert other.load_archive(archive) == other.load_archive(saved(store, digest, "shop:v1"), name="shop:v1")
    assert other.image(digest) == store.image(digest)
    assert objects(other) == objects(store)  # no blob of a layer is kept where the folder says it all
    assert saved(other, digest, "shop:v1").getvalue() == archive.getvalue()


def test_a_layout_holds_what_the_specification_says(store: Store, upper: Path, tmp_path: Path) -> None:
    digest = our_image(store, upper)
    (tmp_path / "out").mkdir()
    store.save_layout(digest, tmp_path / "out", name="example.com/shop:v1")
    index = json.loads((tmp_path / "out/index.json").read_bytes())
    assert [entry["digest"] for entry in index["manifests"]] == [digest]
    assert index["manifests"][0]["annotations"] == {
        "org.opencontainers.image.ref.name": "v1",
        "io.containerd.image.name": "example.com/shop:v1",
    }
    for path in (tmp_path / "out/blobs/sha256").iterdir():
        assert of_bytes(path.read_bytes()) == f"sha256:{path.name}"
    assert json.loads((tmp_path / "out/oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


# --- what is not
@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_a_foreign_image_is_exported_with_the_digests_that_it_came_with(
    store: Store, tmp_path: Path, compression: str
) -> None:
    image = Foreign(compression=compression)
    loaded = store.load_layout(written(layout(image), tmp_path / "in"))
    assert loaded.digest == image.digest
    spec = store.image(loaded.digest)
    assert (spec.layers, spec.cmd, spec.exposed_port) == (tuple(image.diff_ids), ("/app",), 80)
    assert (store.layer_path(image.diff_ids[1]) / "app").read_bytes() == b"#!/bin/sh\necho app\n"
    out = unpacked(saved(store, loaded.digest))
    assert out.items() >= image.files().items()
    assert store.fsck() == ()


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_what_is_built_on_a_foreign_image_is_exported_as_well(
    store: Store, other: Store, upper: Path, tmp_path: Path, compression: str
) -> None:
    """Its manifest is ours and names the plain layers, which must come from what was kept of theirs."""
    base = store.load_archive(packed(layout(Foreign(compression=compression)))).digest
    (upper / "new").write_text("new")
    config = store.config(base).with_layer(store.commit_changeset(upper).diff_id, History("COPY"))
    digest = store.put_image(config).digest
    assert other.load_archive(saved(store, digest)).digest == digest
    assert other.image(digest) == store.image(digest)
    age(store)
    store.prune([digest], grace=0)
    assert other.load_archive(saved(store, digest)).digest == digest
    exported = io.BytesIO()
    store.export_layer(config.diff_ids[0], exported)
    assert of_bytes(exported.getvalue()) == config.diff_ids[0]


def test_fields_that_we_have_no_name_for_are_handed_on(store: Store) -> None:
    run = {"Cmd": ["/app"], "Healthcheck": {"Test": ["CMD", "true"]}, "Volumes": {"/data": {}}}
    image = Foreign(config={"config": run | {"OnBuild": ["RUN x"]}, "author": "them", "variant": "v2"})
    digest = store.load_archive(packed(layout(image))).digest
    config = store.config(digest)
    assert config.volumes == ("/data",) and config.other("OnBuild") == ["RUN x"]
    assert config.healthcheck == Healthcheck(("CMD", "true")) and config.other("Nothing") is None
    again = json.loads(store.config(store.put_image(config.with_env(B="2")).digest).to_json())
    assert again["config"]["Volumes"] == {"/data": {}} and again["config"]["Env"] == ["B=2"]
    assert (again["author"], again["variant"]) == ("them", "v2")
    assert unpacked(saved(store, digest)).items() >= image.files().items()


@pytest.mark.parametrize("nested", [False, True])
def test_of_several_platforms_this_machines_is_taken(store: Store, nested: bool) -> None:
    strange = Foreign(platform="linux/s390x", layers=({"strange": b""},))
    windows = Foreign(platform="windows/amd64", layers=({"windows": b""},))
    ours = Foreign()
    assert store.load_archive(packed(layout(strange, windows, ours, nested=nested))).digest == ours.digest
    with pytest.raises(NotFound, match=r"no image for linux/.*linux/s390x, windows/amd64"):
        store.load_archive(packed(layout(strange, windows, nested=nested)))


def test_of_several_images_the_named_one_is_taken(store: Store) -> None:
    old = Foreign(name="v1", layers=({"old": b""},))
    new = Foreign(name="v2", layers=({"new": b""},))
    archive = layout(old, new)
    assert store.load_archive(packed(archive), name="v2").digest == new.digest
    assert store.load_archive(packed(archive), name="registry.example/shop:v1").names == ("v1",)
    with pytest.raises(BadInput, match="more than one image; say which by its name"):
        store.load_archive(packed(archive))
    with pytest.raises(NotFound, match="no image in it is called 'v3'; the names in it: v1, v2"):
        store.load_archive(packed(archive), name="v3")


def test_dockers_own_archive(store: Store) -> None:
    image = Foreign(compression="", layers=({"a": b"1"}, {"b": b"2"}, {"a": b"1"}))
    files = docker_archive(image, "shop:latest")
    third = next(name for name in files if name.startswith("0" * 63 + "2/layer"))
    del files[third]  # as older versions wrote a layer that is there already
    loaded = store.load_archive(packed(files, {third: "../" + "0" * 64 + "/layer.tar"}), name="shop")
    assert loaded.names == ("shop:latest",)
    assert store.image(loaded.digest).layers == (image.diff_ids[1], image.diff_ids[0])  # each once, the upper
    assert store.config(loaded.digest).diff_ids == tuple(image.diff_ids)
    again = unpacked(saved(store, loaded.digest))
    assert again.items() >= blobs(image.document, *image.plain).items()


def test_a_folder_as_skopeo_pulls_into_it(store: Store, tmp_path: Path) -> None:
    """`dir:` has the registry's own manifest, here of Docker's kind, and blobs under their digits."""
    image = Foreign(media_type="application/vnd.docker.image.rootfs.diff.tar.gzip")
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = image.manifest(mediaType=docker)
    names = {name.rpartition("/")[2]: data for name, data in blobs(image.document, *image.blobs).items()}
    folder = written(
        {"version": b"Directory Transport Version: 1.1\n", "manifest.json": manifest} | names, tmp_path / "d"
    )
    assert store.load_layout(folder).digest == of_bytes(manifest)
    out = unpacked(saved(store, of_bytes(manifest)))
    assert json.loads(out["index.json"])["manifests"][0]["mediaType"] == docker
    assert out.items() >= blobs(manifest, image.document, *image.blobs).items()
    (folder / of_bytes(image.blobs[0]).removeprefix("sha256:")).write_bytes(b"x" * len(image.blobs[0]))
    with pytest.raises(BadInput, match="has the digest"):
        store.load_layout(folder)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_an_archive_may_be_compressed_as_a_whole(store: Store, how: str) -> None:
    image = Foreign()
    archive = foreign.compress(packed(layout(image)).getvalue(), how)
    assert store.load_archive(io.BytesIO(archive)).digest == image.digest


def test_loading_again_adds_nothing(store: Store) -> None:
    image = Foreign()
    store.load_archive(packed(layout(image)))
    before = objects(store)
    assert store.load_archive(packed(layout(image))).digest == image.digest
    assert objects(store) == before


def test_prune_keeps_all_of_a_foreign_image_and_removes_all_of_it(store: Store) -> None:
    kept, gone = Foreign(), Foreign(layers=({"gone": b"x"},))
    for image in (kept, gone):
        store.load_archive(packed(layout(image)))
    age(store)
    report = store.prune([kept.digest])
    assert report.layers == tuple(gone.diff_ids) and len(report.blobs) == 3
    assert report.bytes == report.layer_bytes + report.blob_bytes and report.blob_bytes > report.layer_bytes
    assert unpacked(saved(store, kept.digest)).items() >= kept.files().items()
    store.prune([])
    assert objects(store) == set()


def test_an_image_whose_layer_was_not_kept_says_so_before_the_first_byte(store: Store, tmp_path: Path) -> None:
    image = Foreign()
    digest = store.load_archive(packed(layout(image))).digest
    (store.root / "blobs/sha256" / of_bytes(image.blobs[0]).removeprefix("sha256:")).unlink()
    out = io.BytesIO()
    with pytest.raises(NotFound, match="was not kept as it came"):
        store.save_archive(digest, out)
    assert out.getvalue() == b""


def test_a_damaged_layer_is_not_exported_as_if_it_were_whole(store: Store, upper: Path) -> None:
    digest = our_image(store, upper)
    path = store.layer_path(store.image(digest).layers[1]) / "app"
    path.write_bytes(b"bad" * 5000)
    with pytest.raises(HostProblem, match="is damaged on disk"):
        saved(store, digest)


# --- hostile
def _swap(files: dict[str, bytes], old: bytes, new: bytes) -> dict[str, bytes]:
    return {name: new if data == old else data for name, data in files.items()}


def _with(image: Foreign, **changes: Any) -> dict[str, bytes]:
    """A layout whose manifest says something else."""
    manifest = image.manifest(**changes)
    files = layout(image) | blobs(manifest)
    entries = [descriptor(f"{foreign.OCI}.manifest.v1+json", manifest)]
    return files | {"index.json": json.dumps({"schemaVersion": 2, "manifests": entries}).encode()}


def _layers(**changes: Any) -> list[dict[str, Any]]:
    return [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b) | changes for b in Foreign().blobs]


def _config(**changes: Any) -> dict[str, bytes]:
    return layout(Foreign(config=changes))


def _swapped_config(config: bytes, media_type: str) -> dict[str, bytes]:
    return _with(Foreign(), config=descriptor(media_type, config)) | blobs(config)


def _without(gone: bytes) -> dict[str, bytes]:
    return {name: data for name, data in layout(Foreign()).items() if data != gone}


def _listed(*entries: dict[str, Any]) -> dict[str, bytes]:
    index = json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode()
    return layout(Foreign()) | {"index.json": index}


def _capability() -> dict[str, bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("ping")
        info.pax_headers = {"SCHILY.xattr.security.capability": "none"}
        tar.addfile(info)
    return layout(Foreign(plain=[out.getvalue()]))


def _device() -> dict[str, bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("disk")
        member.type, member.devmajor = tarfile.BLKTYPE, 8
        tar.addfile(member)
    return layout(Foreign(plain=[out.getvalue()]))


FIRST, SECOND = Foreign().blobs
BIG = f"more than {8 * MIB:,} bytes"
ZEROS = "sha256:" + "0" * 64
HOSTILE: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "no image": (lambda: {"hello": b"1"}, "neither index.json nor manifest.json"),
    "index of rubbish": (lambda: layout(Foreign()) | {"index.json": b"{"}, "image index is not JSON"),
    "empty index": (layout, "holds no image for linux"),
    "endless index": (
        lambda: layout(Foreign()) | {"index.json": b" " * (5 * MIB)},
        "more than 4,194,304 bytes",
    ),
    "other layer": (lambda: _swap(layout(Foreign()), FIRST, b"x" * len(FIRST)), "has the digest"),
    "layer cut short": (lambda: _swap(layout(Foreign()), FIRST, FIRST[:-9]), "has the digest|bytes, not"),
    "other config": (lambda: _swap(layout(Foreign()), Foreign().document, b"{}"), "has the digest"),
    "other manifest": (lambda: _swap(layout(Foreign()), Foreign().manifest(), b"{}"), "has the digest"),
    "missing layer": (lambda: _without(SECOND), "no file"),
    "wrong size": (lambda: _with(Foreign(), layers=_layers(size=7)), "bytes, not 7"),
    "path as digest": (lambda: _with(Foreign(), layers=_layers(digest="sha256:../x")), "not a sha256 digest"),
    "other DiffID": (lambda: _config(rootfs={"diff_ids": [ZEROS] * 2}), f"its config says {ZEROS}"),
    "fewer DiffIDs": (lambda: _config(rootfs={"diff_ids": [ZEROS]}), "names 1 layers, its manifest 2"),
    "Helm chart": (
        lambda: _swapped_config(b'{"name": "chart"}', "application/vnd.cncf.helm.config.v1+json"),
        "no container image: .* is of the kind 'application/vnd.cncf.helm.config.v1.json'",
    ),
    "old format": (lambda: _with(Foreign(), schemaVersion=1), "manifest of Docker's old format, schema 1"),
    "no layers": (lambda: layout(Foreign(layers=())), "has no layers"),
    "layer elsewhere": (lambda: layout(Foreign(media_type="x.foreign.tar.gzip")), "which cannot be unpacked"),
    "for Windows": (lambda: _config(os="windows"), "an image for windows"),
    "for another machine": (lambda: _config(architecture="s390x"), "an image for s390x, and this machine is"),
    "a list of parts": (lambda: _listed(descriptor("example.sbom", Foreign().document)), "is no image"),
    "path": (lambda: layout(Foreign(plain=[foreign.gnu_tar({"../evil": b"x"})])), "points outside the layer"),
    "device": (_device, "'disk' is a device"),
    "capability": (_capability, "has capabilities that the kernel does not take"),
    "many layers": (lambda: layout(Foreign(layers=[{f"{i}": b""} for i in range(61)])), "60 can be mounted"),
    "bomb": (lambda: layout(Foreign(layers=[{"zeros": bytes(64 * MIB)}])), BIG),
    "bomb in pieces": (lambda: layout(Foreign(layers=[{f"{i}": bytes(3 * MIB)} for i in range(4)])), BIG),
    "many files": (lambda: layout(Foreign(layers=[{f"{n}": b"" for n in range(500)}])), "files and folders"),
    "large archive": (lambda: layout(Foreign(compression="", layers=[{"f": bytes(9 * MIB)}])), BIG),
}


@pytest.mark.parametrize(
    ("case", "what_next"),
    [("Helm chart", "docker, podman, buildah"), ("old format", "push it, with a current tool")],
)
def test_what_is_no_image_of_today_says_what_to_deploy_instead(
    store: Store, tmp_path: Path, case: str, what_next: str
) -> None:
    make, message = HOSTILE[case]
    with pytest.raises(BadInput, match=message) as caught:
        store.load_layout(written(make(), tmp_path / "in"))
    assert what_next in caught.value.hint


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_hostile_image_is_refused_and_nothing_of_it_stays(
    store: Store, tmp_path: Path, case: str, kind: str
) -> None:
    make, message = HOSTILE[case]
    files = make()
    before, open_before = objects(store), open_descriptors()
    limits = LoadLimits(max_bytes=8 * MIB, max_files=400)
    with pytest.raises((BadInput, NotFound), match=message):
        if kind == "folder":
            store.load_layout(written(files, tmp_path / "in"), limits=limits)
        else:
            store.load_archive(packed(files), limits=limits)
    assert objects(store) == before
    assert open_descriptors() == open_before
    assert list((store.root / "incoming").iterdir()) == []


LINKS = {"up": ("x", "../../etc/passwd", "outside the archive"), "absolute": ("x", "/etc/passwd", "outside")}


@pytest.mark.parametrize("case", LINKS)
def test_a_link_in_an_archive_never_leads_out_of_it(store: Store, case: str) -> None:
    name, target, message = LINKS[case]
    with pytest.raises(BadInput, match=message):
        store.load_archive(packed(layout(Foreign()), {name: target}))


def test_a_link_that_leads_to_itself(store: Store) -> None:
    files = layout(Foreign())
    del files["index.json"]
    with pytest.raises(BadInput, match="a link to itself"):
        store.load_archive(packed(files, {"index.json": "index.json"}))


def test_a_link_in_a_folder_is_not_followed(store: Store, tmp_path: Path) -> None:
    """Whoever wrote the folder may have put a link to a file of the host where a blob should be."""
    image = Foreign()
    written(layout(image), tmp_path / "in")
    blob = tmp_path / "in/blobs/sha256" / of_bytes(image.blobs[0]).removeprefix("sha256:")
    blob.rename(tmp_path / "secret")
    blob.symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="no file 'blobs/sha256/"):
        store.load_layout(tmp_path / "in")
    (tmp_path / "in/blobs").rename(tmp_path / "blobs")
    (tmp_path / "in/blobs").symlink_to(tmp_path / "blobs")
    with pytest.raises(BadInput, match="no blob"):
        store.load_layout(tmp_path / "in")


def test_a_fifo_in_a_folder_does_not_hold_us_up(store: Store, tmp_path: Path) -> None:
    written(layout(Foreign()), tmp_path / "in")
    (tmp_path / "in/index.json").unlink()
    os.mkfifo(tmp_path / "in/index.json")
    with pytest.raises(BadInput, match=r"neither index\.json"):
        store.load_layout(tmp_path / "in")


def test_nobody_gets_anothers_layer_by_its_name(store: Store, upper: Path) -> None:
    """A DiffID is no secret: it is in logs and manifests. Having it must not be having the files."""
    (upper / "secret").write_text("of a tenant")
    private = store.commit_changeset(upper).diff_id
    image = Foreign(layers=({"mine": b""},))
    thief = Foreign(layers=({"mine": b""},), config={"rootfs": {"type": "layers", "diff_ids": [private]}})
    with pytest.raises(BadInput, match=f"has the DiffID {image.diff_ids[0]}, and its config says {private}"):
        store.load_archive(packed(layout(thief)))


def test_a_damaged_gzip_stream_is_told_apart_from_a_crash(store: Store) -> None:
    image = Foreign()
    image.blobs[0] = image.blobs[0][:-6]
    with pytest.raises(BadInput, match="archive is damaged"):
        store.load_archive(packed(layout(image)))
    image.blobs[0] = gzip.compress(b"no tar" * 200)
    with pytest.raises(BadInput, match="archive is damaged"):
        store.load_archive(packed(layout(image)))


# --- memory
MEASURE = """
import resource, sys
from pathlib import Path
from paas.images import Store
store, other = Store(Path(sys.argv[1])), Store(Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
digest = store.load_archive(open(sys.argv[3], "rb")).digest
with open(sys.argv[4], "wb") as out:
    store.save_archive(digest, out)
other.load_archive(open(sys.argv[4], "rb"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_memory_does_not_grow_with_the_layer(tmp_path: Path, compression: str) -> None:
    """A layer of 96 MiB in and out and in again, within 64 MiB."""
    image = Foreign(layers=({"big": bytes(96 * MIB)},), compression=compression)
    (tmp_path / "in.tar").write_bytes(packed(layout(image)).getvalue())
    paths = [tmp_path / name for name in ("a", "b", "in.tar", "out.tar")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, check=True)
    grown, children = (int(line) for line in done.stdout.split())
    assert grown < 64 * 1024
    assert children < 64 * 1024
