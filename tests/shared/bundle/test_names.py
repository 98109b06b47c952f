from __future__ import annotations

import pytest

from airgap_shared.bundle import names
from airgap_shared.oci.digest import Digest


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("deploy.yaml", True),
        ("a/b/c.yaml", True),
        ("-rf", True),
        ("_x", True),
        ("A-Z_a.z0", True),
        ("c" * 100, True),
        ("c" * 101, False),
        ("/".join(["d"] * 16), True),
        ("/".join(["d"] * 17), False),
        ("", False),
        ("/etc/passwd", False),
        ("a//b", False),
        ("a/", False),
        ("..", False),
        (".", False),
        ("a/../b", False),
        ("a/./b", False),
        (".hidden", False),
        ("a/.git/config", False),
        ("a.", False),
        ("a b", False),
        ("a\\b", False),
        ("a:b", False),
        ("a\n", False),
        ("a\x00", False),
        ("ä", False),
        ("а", False),
        ("~", False),
        ("con", False),
        ("CON.yaml", False),
        ("a/Aux", False),
        ("nul.tar.gz", False),
        ("com1", False),
        ("LPT9.txt", False),
        ("com10", True),
        ("console", True),
        ("xcon", True),
    ],
)
def test_paths_that_can_be_written_anywhere(path: str, safe: bool) -> None:
    assert names.is_safe_path(path) is safe


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("shop", True),
        ("a", True),
        ("a-1", True),
        ("9", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("", False),
        ("-a", False),
        ("a-", False),
        ("Shop", False),
        ("a.b", False),
        ("a_b", False),
        ("shop\n", False),
    ],
)
def test_application_names_are_dns_labels(text: str, fits: bool) -> None:
    assert names.is_application_name(text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("1.5.2", True),
        ("x", True),
        ("release candidate", True),
        ("v" * 128, True),
        ("v" * 129, False),
        ("", False),
        (" x", False),
        ("x ", False),
        ("x\n", False),
        ("a\tb", False),
        ("\x1b[31m", False),
        ("ä", False),
    ],
)
def test_labels_are_printable(text: str, fits: bool) -> None:
    assert names.is_label(text) is fits


@pytest.mark.parametrize("digest", [Digest("sha256", "0" * 64), Digest("sha512", "f" * 128)])
def test_blobs_are_where_image_layouts_have_them(digest: Digest) -> None:
    path = names.blob_path(digest)
    assert path == f"blobs/{digest.algorithm}/{digest.hex}"
    assert names.is_blob_path(path)
    assert not names.is_blob_path(path + "\n")
    assert not names.is_blob_path(path[:-1])
    assert not names.is_blob_path("x" + path)
