"""containerd gets a file for a host only where a prefix is all that changed."""

from __future__ import annotations

import tomllib

from airgap_importer.mirrors.hoststoml import compose_hosts_toml
from support.mirroring import records_of


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
