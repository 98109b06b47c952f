"""What no reader would take is refused before anything is fetched for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap_bundler import create
from airgap_bundler.composing import TimeWishes, compose_contents
from airgap_bundler.create import Creation
from airgap_shared.bundle import names
from airgap_shared.errors import LimitExceeded
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.stores.ports import ImageSource
from airgap_shared.stores.progress import NoProgress
from support.bundles import KEY, RELEASE

FILES = (ManifestFile("a.yaml", b"kind: A\n"),)


def no_registry(host: str) -> ImageSource:
    raise AssertionError(host)


def write(output: Path) -> None:
    contents = compose_contents(FILES, b'{"format":1}', (), {})
    creation = Creation(contents, no_registry, KEY, 1, NoProgress(), TimeWishes())
    creation.write(output, RELEASE, ("all",))


@pytest.mark.parametrize(
    ("module", "limit"),
    [(names, "METADATA_LIMIT"), (create, "ENVELOPE_LIMIT"), (create, "MEMBER_LIMIT")],
)
def test_too_much_is_told_before_anything_is_written(
    tmp_path: Path, module: object, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "fits")
    monkeypatch.setattr(module, limit, 3)
    with pytest.raises(LimitExceeded, match="over 3") as caught:
        write(tmp_path / "bundle")
    assert caught.value.changed == "no bundle was written"
    assert [path.name for path in tmp_path.iterdir()] == ["fits"]
