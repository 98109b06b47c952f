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
    assert names.blob_path(digest) == f"blobs/{digest.algorithm}/{digest.hex}"


@pytest.mark.parametrize(
    ("paths", "conflict"),
    [
        ([], None),
        (["a", "b/a", "b/c", "ab", "b-a"], None),
        (["A/x", "a/y"], None),
        (["a", "A"], "A"),
        (["b/a", "B/A"], "B/A"),
        (["a", "a/b"], "a/b"),
        (["a/b/c/d", "a/B"], "a/b/c/d"),
    ],
)
def test_files_can_stand_beside_each_other_anywhere(paths: list[str], conflict: str | None) -> None:
    assert names.conflicting_path(paths) == conflict
