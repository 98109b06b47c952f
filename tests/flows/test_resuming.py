"""A create that is killed, and the one after it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Hang, ResetResponse, Rule
from support.images import Layer, generated_layer, make_image, tar_layer
from support.journey import Journey, deployment, refused, succeeded
from support.waiting import wait_until

_EPOCH = {"SOURCE_DATE_EPOCH": "1750000000"}
_MIB = 1 << 20
# The largest is fetched first.
_BIG, _MIDDLE, _SMALL = (generated_layer(n * _MIB + 77, seed=n) for n in (9, 6, 1))
_PLAIN = tar_layer({"plain": b"plain text " * 200_000})


def _blob(layer: Layer) -> str:
    return f"/blobs/{layer.digest}"


_POINTS: dict[str, tuple[Rule, ...]] = {
    "before the first blob": (Rule(Hang(), "GET", _blob(_BIG), times=None),),
    "in the middle of the first blob": (
        Rule(ResetResponse(5 * _MIB, abrupt=False), "GET", _blob(_BIG)),
        Rule(Hang(), "GET", _blob(_BIG), first=2, times=None),
    ),
    "after the first blob": (Rule(Hang(), "GET", _blob(_MIDDLE), times=None),),
    "in the middle of the second blob": (
        Rule(ResetResponse(4 * _MIB, abrupt=False), "GET", _blob(_MIDDLE)),
        Rule(Hang(), "GET", _blob(_MIDDLE), first=2, times=None),
    ),
    "after the stored blobs": (Rule(Hang(), "GET", _blob(_PLAIN), times=None),),
}
_DONE: dict[str, tuple[Layer, ...]] = {
    "before the first blob": (),
    "in the middle of the first blob": (),
    "after the first blob": (_BIG,),
    "in the middle of the second blob": (_BIG,),
    "after the stored blobs": (_BIG, _MIDDLE, _SMALL),
}


@pytest.fixture
def proxy(source_registry: DockerRegistry, make_proxy: MakeProxy) -> FaultProxy:
    return make_proxy(source_registry.host)


@pytest.fixture
def application(journey: Journey, proxy: FaultProxy) -> Journey:
    """Four layers of different sizes, read through the proxy."""
    journey.push("team/app:1", make_image([_BIG, _MIDDLE, _SMALL, _PLAIN]))
    journey.deploy("team/app:1")
    return replace(journey, source=proxy.host)


@contextmanager
def _hanging(
    journey: Journey, proxy: FaultProxy, rules: Sequence[Rule], options: Sequence[str] = ()
) -> Iterator[None]:
    """Run create until it hangs at the last of the rules, then kill it."""
    for rule in rules:
        proxy.add(rule)
    process = journey.shell.start(*journey.create_command("--jobs", "1", *options))
    try:
        path = rules[-1].path
        wait_until(lambda: len(proxy.requests("GET", path)) >= len(rules), "the last request")
        assert process.poll() is None
        yield
    finally:
        process.kill()
        process.communicate()


def _uninterrupted(journey: Journey) -> bytes:
    """The same bundle, made in one go in another folder."""
    other = journey.folder.parent / "uninterrupted"
    shutil.copytree(journey.folder, other)
    for leftover in (other / "shop.tar.zst.partial", other / "shop.tar.zst"):
        leftover.unlink(missing_ok=True)
    made = replace(journey, folder=other)
    succeeded(made.create())
    return made.bundle.read_bytes()


@pytest.mark.parametrize("point", _POINTS)
def test_a_killed_create_goes_on_and_gives_the_same_bytes(
    application: Journey, proxy: FaultProxy, point: str
) -> None:
    journey = replace(application, variables=_EPOCH)
    with _hanging(journey, proxy, _POINTS[point]):
        assert journey.partial.exists()
    assert not journey.bundle.exists()
    proxy.clear()

    succeeded(journey.create())

    for layer in _DONE[point]:
        assert not proxy.requests("GET", _blob(layer)), "it was fetched again"
    if "middle" in point:
        (again,) = proxy.requests("GET", _blob(_BIG if "first" in point else _MIDDLE))
        assert int(again.headers["range"].removeprefix("bytes=").rstrip("-")) >= _MIB
    assert not journey.partial.exists()
    assert journey.bundle.read_bytes() == _uninterrupted(journey)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_a_signer_that_asks_for_a_pin_is_asked_once(
    application: Journey, proxy: FaultProxy
) -> None:
    """Its signatures differ each time; the one in the partial file is kept, and so are bytes."""
    signer = application.folder / "hsm"
    signer.write_text(
        "#!/bin/sh\necho asked >> asked\nexec openssl dgst -sha256 -sign vendor.key\n"
    )
    signer.chmod(0o755)
    options = ("--key", "vendor.pub", "--signer-cmd", "./hsm")
    with _hanging(application, proxy, _POINTS["after the first blob"], options):
        begun = application.partial.read_bytes()[:1024]
    proxy.clear()

    assert "going on with" in succeeded(application.create(*options)).err

    assert not proxy.requests("GET", _blob(_BIG)), "it was fetched again"
    assert application.bundle.read_bytes()[:1024] == begun
    assert (application.folder / "asked").read_text() == "asked\n"
    succeeded(application.verify())
    # Something else is signed anew.
    succeeded(application.create(*options, "--sequence", "9999999999"))
    assert (application.folder / "asked").read_text() == "asked\n" * 2


def test_it_goes_on_with_the_time_at_which_it_began(
    application: Journey, proxy: FaultProxy
) -> None:
    with _hanging(application, proxy, _POINTS["after the first blob"]):
        begun = application.partial.read_bytes()[:1024]
    proxy.clear()

    done = succeeded(application.create())

    assert "going on with" in done.err
    assert not proxy.requests("GET", _blob(_BIG))
    assert application.bundle.read_bytes()[:1024] == begun
    succeeded(application.verify())


def test_other_contents_start_over(application: Journey, proxy: FaultProxy) -> None:
    with _hanging(application, proxy, _POINTS["after the first blob"]):
        pass
    proxy.clear()
    application.write(deployment("more", "team/app:1"), "more.yaml")

    done = succeeded(application.create())

    assert "starting over" in done.err
    succeeded(application.verify())


@pytest.mark.parametrize("damage", ["cut", "zeros", "noise"])
def test_a_damaged_partial_file_does_no_harm(
    application: Journey, proxy: FaultProxy, damage: str
) -> None:
    journey = replace(application, variables=_EPOCH)
    with _hanging(journey, proxy, _POINTS["after the stored blobs"]):
        pass
    proxy.clear()
    _damage(journey.partial, damage)

    succeeded(journey.create())

    assert journey.bundle.read_bytes() == _uninterrupted(journey)


def _damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if kind == "cut":
        content = content[:middle]
    else:
        content[middle : middle + 4096] = bytes(4096) if kind == "zeros" else b"\x55" * 4096
    path.write_bytes(content)


def test_two_runs_at_once_do_not_meet(application: Journey, proxy: FaultProxy) -> None:
    with _hanging(application, proxy, _POINTS["after the first blob"]):
        refused(application.create(), 31, "Locked")
    proxy.clear()
    succeeded(application.create())
    succeeded(application.verify())
