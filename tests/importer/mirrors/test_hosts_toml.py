"""containerd gets a file for a host only where a prefix is all that changed."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_importer.mirrors.hoststoml import compose_hosts_toml
from airgap_importer.mirrors.records import parse_records
from airgap_importer.names import Names
from airgap_importer.naming import Naming
from airgap_importer.relocation import Target, relocate
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference
from support.budget import budget
from support.mirroring import records_of

_COMPONENT = st.from_regex(r"[a-z0-9]{1,3}((\.|_|__|-)[a-z0-9]{1,2})?", fullmatch=True)
_SOURCES = st.sets(
    st.tuples(
        st.sampled_from(["docker.io", "quay.io", "a.b:5000", "a.b", "library"]),
        st.lists(_COMPONENT, min_size=1, max_size=3).map("/".join),
    ),
    min_size=1,
    max_size=6,
)


def test_a_host_whose_paths_are_kept_gets_a_prefix() -> None:
    found = compose_hosts_toml(
        records_of(
            {
                "nginx:1": "reg.bank/shop/docker.io/library/nginx:1",
                "team/web:2": "reg.bank/shop/docker.io/team/web:2",
                "quay.io/a/b/c:3": "reg.bank/shop/quay.io/a/b/c:3",
            }
        )
    )
    assert (sorted(found.files), found.notes) == (
        ["docker.io/hosts.toml", "quay.io/hosts.toml"],
        (),
    )
    assert tomllib.loads(found.files["docker.io/hosts.toml"].decode()) == {
        "server": "https://registry-1.docker.io",
        "host": {
            "https://reg.bank/v2/shop/docker.io": {
                "capabilities": ["pull", "resolve"],
                "override_path": True,
            }
        },
    }
    other = tomllib.loads(found.files["quay.io/hosts.toml"].decode())
    assert (other["server"], list(other["host"])) == (
        "https://quay.io",
        ["https://reg.bank/v2/shop/quay.io"],
    )


def test_a_host_with_changed_paths_gets_none_and_the_images_are_named() -> None:
    found = compose_hosts_toml(
        records_of(
            {
                "nginx:1": "reg.bank/shop/nginx:1",
                "quay.io/one:1": "reg.bank/shop/one:1",
            }
        )
    )
    assert list(found.files) == ["quay.io/hosts.toml"]
    (note,) = found.notes
    assert "docker.io/library/nginx is reg.bank/shop/nginx" in note
    assert "--naming path" in note


def test_two_prefixes_are_one_too_many() -> None:
    found = compose_hosts_toml(
        records_of({"quay.io/a:1": "reg.bank/x/a:1", "quay.io/b:1": "reg.bank/y/b:1"})
    )
    assert not found.files
    assert "quay.io/a is reg.bank/x/a; quay.io/b is reg.bank/y/b" in found.notes[0]


def test_a_path_that_only_ends_alike_is_not_kept() -> None:
    found = compose_hosts_toml(records_of({"quay.io/b:1": "reg.bank/ab:1"}))
    assert not found.files


def test_ports_and_plain_http() -> None:
    found = compose_hosts_toml(
        records_of({"src.example:5000/a:1": "reg.bank:8080/a:1"}, plain_http=True)
    )
    (text,) = found.files.values()
    assert list(found.files) == ["src.example_5000_/hosts.toml"]
    parsed = tomllib.loads(text.decode())
    assert parsed["server"] == "https://src.example:5000"
    assert list(parsed["host"]) == ["http://reg.bank:8080/v2"]


def test_a_host_that_cannot_be_a_folder_is_told() -> None:
    found = compose_hosts_toml(records_of({"[::1]:5000/a:1": "reg.bank/a:1"}))
    assert not found.files
    assert "[::1]:5000" in found.notes[0]


@pytest.mark.parametrize("naming", Naming)
@given(sources=_SOURCES)
@settings(max_examples=budget(25, 200), deadline=None)
def test_what_is_written_is_right_whatever_the_names(
    naming: Naming, sources: set[tuple[str, str]]
) -> None:
    """containerd asks for the path below the host's address; that is where the image is."""
    names = sorted({parse_reference(f"{host}/{path}:1").canonical for host, path in sources})
    images = [_image(name) for name in names]
    relocation = relocate(images, Target("reg.bank", "shop"), {}, Names(naming))
    records = parse_records(
        "shop", json.dumps(relocation.to_document()).encode(), b'{"images": []}'
    )
    found = compose_hosts_toml(records)
    for image in records.images:
        folder = image.source.registry.replace(":", "_") + "_" * (":" in image.source.registry)
        text = found.files.get(f"{folder}/hosts.toml")
        if text is None:
            assert any(note.startswith(f"{image.source.registry}: ") for note in found.notes)
        else:
            (address,) = tomllib.loads(text.decode())["host"]
            root = address.removeprefix("https://reg.bank/v2").strip("/")
            path = f"{root}/{image.source.repository}".strip("/")
            assert path == image.target.repository


def _image(source: str) -> BundledImage:
    digest = Digest.of(source.encode())
    reference = parse_reference(source)
    return BundledImage(reference, (source,), digest, mediatype.OCI_MANIFEST, digest, ())
