from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import BadInput
from paas.oci.config import Healthcheck, History, ImageConfig, image_spec, parse_config
from paas.oci.descriptor import CONFIG, LAYER, Descriptor
from paas.oci.digest import of_bytes
from paas.oci.manifest import Manifest, parse_manifest

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = st.text(st.characters(categories=["L", "N"]), min_size=1)
pairs = st.dictionaries(names, words).map(lambda found: tuple(found.items()))
sorted_pairs = st.dictionaries(names, words).map(lambda found: tuple(sorted(found.items())))
configs = st.builds(
    ImageConfig,
    diff_ids=st.lists(st.binary().map(of_bytes)).map(tuple),
    env=pairs,
    entrypoint=st.lists(words).map(tuple),
    cmd=st.lists(words).map(tuple),
    workdir=words.filter(bool),
    user=words,
    exposed_ports=st.sets(st.integers(1, 65535).map(lambda n: f"{n}/tcp")).map(
        lambda found: tuple(sorted(found))
    ),
    stop_signal=words.filter(bool),
    labels=sorted_pairs,
    volumes=st.sets(names).map(lambda found: tuple(sorted(found))),
    healthcheck=st.none()
    | st.builds(
        Healthcheck,
        st.lists(words, min_size=1).map(tuple),
        *[st.integers(0, 10**15)] * 5,
    ),
    shell=st.lists(words).map(tuple),
    author=words,
    history=st.lists(st.builds(History, words, words, words, st.booleans())).map(tuple),
    created=words,
    architecture=words,
    os=words,
)


@given(configs)
def test_a_config_survives_its_document(config: ImageConfig) -> None:
    document = config.to_json()
    assert parse_config(document) == config
    assert parse_config(document).to_json() == document


def test_the_document_is_the_specifications() -> None:
    config = ImageConfig(
        diff_ids=(of_bytes(b"1"),),
        env=(("PATH", "/bin"), ("A", "b=c")),
        cmd=("run",),
        exposed_ports=("8000/tcp",),
        history=(History("COPY . /app"), History("CMD run", empty_layer=True)),
    )
    assert json.loads(config.to_json()) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin", "A=b=c"],
            "Cmd": ["run"],
            "WorkingDir": "/",
            "ExposedPorts": {"8000/tcp": {}},
            "StopSignal": "SIGTERM",
        },
        "rootfs": {"type": "layers", "diff_ids": [of_bytes(b"1")]},
        "history": [{"created_by": "COPY . /app"}, {"created_by": "CMD run", "empty_layer": True}],
    }


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"config": []}',
        b'{"config": {"Env": "A=b"}}',
        b'{"config": {"Cmd": [1]}}',
        b'{"config": {"User": 0.5}}',
        b'{"rootfs": {"diff_ids": ["sha256:../../etc"]}}',
        b'{"history": [1]}',
        rb'{"config": {"Cmd": ["a\u0000b"]}}',
        rb'{"config": {"User": "\ud800"}}',
        b'{"config": {"Healthcheck": {"Test": ["CMD", "a"], "Timeout": 9223372036854775808}}}',
    ],
)
def test_a_config_of_wrong_types_is_refused(document: bytes) -> None:
    with pytest.raises(BadInput):
        parse_config(document)


def test_the_lowest_tcp_port_is_the_one() -> None:
    config = ImageConfig(exposed_ports=("9000/tcp", "53/udp", "8080", "http/tcp", "99999/tcp"))
    assert image_spec(of_bytes(b""), config).exposed_port == 8080
    assert image_spec(of_bytes(b""), ImageConfig(exposed_ports=("53/udp",))).exposed_port is None


def test_setting_a_variable_keeps_the_place_of_those_that_exist() -> None:
    config = ImageConfig(env=(("A", "1"), ("B", "2"))).with_env(A="3", C="4")
    assert config.env == (("A", "3"), ("B", "2"), ("C", "4"))


def test_a_manifest_survives_its_document() -> None:
    manifest = Manifest(Descriptor(CONFIG, of_bytes(b"c"), 1), (Descriptor(LAYER, of_bytes(b"l"), 2048),))
    assert parse_manifest(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b'{"schemaVersion": 1, "config": {}, "layers": []}',
        b'{"schemaVersion": 2, "config": {"mediaType": "a", "digest": "b", "size": 1}, "layers": []}',
        b'{"schemaVersion": 2, "config": {"mediaType": "a", "digest": "sha256:'
        + b"0" * 64
        + b'", "size": -1}, "layers": []}',
    ],
)
def test_a_broken_manifest_is_refused(document: bytes) -> None:
    with pytest.raises(BadInput):
        parse_manifest(document)
