"""CRI-O and podman get a mirror for each repository."""

from __future__ import annotations

import tomllib

from airgap_importer.mirrors.registriesconf import FILE, compose_registries_conf
from support.mirroring import records_of

_OTHER = "@sha256:" + "d" * 64


def test_what_is_written() -> None:
    found = compose_registries_conf(
        records_of({"nginx:1": "reg.bank/shop/nginx:1", f"quay.io/a{_OTHER}": "reg.bank/shop/a"})
    )
    assert tomllib.loads(found.files[FILE].decode()) == {
        "registry": [
            {
                "prefix": "docker.io/library/nginx",
                "location": "docker.io/library/nginx",
                "mirror": [{"location": "reg.bank/shop/nginx", "pull-from-mirror": "all"}],
            },
            {
                "prefix": "quay.io/a",
                "location": "quay.io/a",
                "mirror": [{"location": "reg.bank/shop/a", "pull-from-mirror": "digest-only"}],
            },
        ]
    }
    assert found.notes == ()


def test_a_registry_without_tls_is_called_insecure() -> None:
    found = compose_registries_conf(records_of({"nginx:1": "reg.bank/nginx:1"}, plain_http=True))
    ((mirror,),) = (
        entry["mirror"] for entry in tomllib.loads(found.files[FILE].decode())["registry"]
    )
    assert mirror["insecure"] is True


def test_what_no_mirror_can_give_is_told() -> None:
    found = compose_registries_conf(
        records_of(
            {
                "quay.io/untagged:1": "reg.bank/untagged",
                f"quay.io/partial:1{_OTHER}": "reg.bank/partial:1@sha256:" + "e" * 64,
                f"quay.io/whole:1{_OTHER}": f"reg.bank/whole:1{_OTHER}",
                "reg.bank/own/a:1": "reg.bank/shop/a:1",
            }
        )
    )
    partial, untagged, own = found.notes
    assert "quay.io/partial:1@sha256:ddd" in partial and "platforms" in partial
    assert "quay.io/untagged:1: its tag is not there" in untagged
    assert "reg.bank/own/a: is in the target" in own
    written = tomllib.loads(found.files[FILE].decode())["registry"]
    assert "reg.bank/own/a" not in [entry["prefix"] for entry in written]
