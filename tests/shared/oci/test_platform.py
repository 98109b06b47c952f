from __future__ import annotations

import pytest

from airgap_shared.errors import UsageError
from airgap_shared.oci.platform import Platform


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm/v7", "windows/amd64", "linux/ppc64le"])
def test_a_platform_is_read_and_printed(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "linux/",
        "/amd64",
        "linux/arm/v7/x",
        "Linux/amd64",
        "linux/amd64\n",
        "all",
        "a b/c",
    ],
)
def test_anything_else_is_a_mistake_of_the_user(text: str) -> None:
    with pytest.raises(UsageError, match="not a platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("wanted", "offered", "included"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v7", "linux/arm", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v8", "linux/arm64/v8", True),
        ("linux/arm64/v9", "linux/arm64", False),
        ("linux/amd64/v3", "linux/amd64", False),
    ],
)
def test_which_images_are_for_which_machine(wanted: str, offered: str, included: bool) -> None:
    assert Platform.parse(wanted).includes(Platform.parse(offered)) is included


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm"),
        ("i686", "linux/386"),
        ("s390x", "linux/s390x"),
    ],
)
def test_machines_by_the_name_uname_gives_them(machine: str, expected: str) -> None:
    assert str(Platform.of_machine(machine)) == expected


@pytest.mark.parametrize(
    ("platform", "unknown"),
    [
        (Platform("unknown", "unknown"), True),
        (Platform("linux", "unknown"), True),
        (Platform("", ""), True),
        (Platform("linux", ""), True),
        (Platform("linux", "amd64"), False),
    ],
)
def test_what_runs_nowhere_is_unknown(platform: Platform, unknown: bool) -> None:
    assert platform.is_unknown is unknown
