"""What create and keygen refuse before they touch anything."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest

from airgap_bundler.gathering import Wanted, gather
from airgap_bundler.sources.folder import read_stream
from airgap_shared.errors import LimitExceeded, UsageError
from airgap_shared.kube.yamltext import SIZE_LIMIT
from support.commands import Finished
from support.in_process import run_here
from support.journey import refused, succeeded, write_key_pair
from support.mounting import mounted

ENDLESS = Path("/dev/zero")
NAMED = ("--name", "shop", "--version", "1", "--key", "vendor.key")
MANIFEST = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_key_pair(tmp_path, "vendor")
    (tmp_path / "app.yaml").write_bytes(MANIFEST)
    (tmp_path / "images.txt").write_bytes(b"# none\n")
    return tmp_path


def create(folder: Path, *options: str | Path, output: str = "out") -> Finished:
    command = ("create", "app.yaml", *NAMED, "-o", output, *options)
    return run_here(folder, "airgap-bundle", *command)


def sequence_of(folder: Path, bundle: str) -> int:
    shown = succeeded(run_here(folder, "airgap-bundle", "inspect", bundle, "--format", "json"))
    return int(json.loads(shown.out)["sequence"])


def refused_untouched(folder: Path, output: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = create(folder, "--images-file", "images.txt", output=output)
    refused(done, 2, "UsageError")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("output", ["vendor.key", "./app.yaml", "images.txt", "vendor.pub"])
def test_no_file_but_a_bundle_is_written_over(folder: Path, output: str) -> None:
    refused_untouched(folder, output)


@pytest.mark.parametrize("output", ["x.part-001", "x.parts.json", "app.yaml.part-002"])
@pytest.mark.parametrize("options", [(), ("--split", "2MB")])
def test_no_bundle_is_named_like_a_part_of_another(
    folder: Path, output: str, options: tuple[str, ...]
) -> None:
    before = set(folder.iterdir())
    done = refused(create(folder, *options, output=output), 2, "UsageError")
    assert "taken for a part of" in done.err
    assert set(folder.iterdir()) == before


def test_a_mirror_for_no_image_is_refused_before_any_is_read(folder: Path) -> None:
    # Nobody listens there: asking would end otherwise.
    image = ("--image", "127.0.0.1:1/team/app:1", "--mirror", "127.0.0.1:2=mirror.example")
    for options in (image, (*image, "--dry-run")):
        done = refused(create(folder, *options), 2, "UsageError")
        assert "no image has a name that begins with 127.0.0.1:2" in done.err
        assert "--mirror" in done.err
    assert not list(folder.glob("out*"))


def test_an_input_is_known_by_any_name(folder: Path) -> None:
    os.link(folder / "vendor.key", folder / "other")
    refused_untouched(folder, "other")


def test_an_input_is_no_place_for_the_partial_file(folder: Path) -> None:
    (folder / "app.yaml").rename(folder / "app.partial")
    (folder / "app.yaml").symlink_to("app.partial")
    refused_untouched(folder, "app")


@pytest.mark.parametrize("before", [b"", None])
def test_an_earlier_bundle_is_replaced(folder: Path, before: bytes | None) -> None:
    if before is None:
        succeeded(create(folder))
    else:
        (folder / "out").write_bytes(before)
    succeeded(create(folder, "--channel", "beta"))
    assert "beta" in succeeded(run_here(folder, "airgap-bundle", "inspect", "out")).out


@pytest.mark.parametrize(
    "epoch", ["-5", "253402300799", "9" * 30, "1e9", "x", " 5", "\u0665", "253386748800"]
)
def test_a_time_of_creation_that_cannot_be_written_is_refused(
    folder: Path, epoch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert "SOURCE_DATE_EPOCH" in refused(create(folder), 2, "UsageError").err
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize("epoch", ["0", "253386748799"])
def test_the_first_and_the_last_time_can_be_written(
    folder: Path, epoch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    succeeded(create(folder))


@pytest.mark.parametrize("sequence", ["-1", str(2**63), "9" * 30])
def test_a_sequence_that_cannot_be_written_is_refused(folder: Path, sequence: str) -> None:
    refused(create(folder, "--sequence", sequence), 2, "UsageError")
    assert not list(folder.glob("out*"))


def test_the_largest_sequence_can_be_written(folder: Path) -> None:
    succeeded(create(folder, "--sequence", str(2**63 - 1)))


@pytest.mark.parametrize("prefix", ["", "keys/"])
def test_keygen_needs_a_name(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "keys").mkdir()
    refused(run_here(tmp_path, "airgap-bundle", "keygen", prefix), 2, "UsageError")
    assert [path.name for path in tmp_path.rglob("*")] == ["keys"]


@pytest.mark.parametrize("there", [".key", ".pub"])
def test_keygen_leaves_no_half_of_a_pair(tmp_path: Path, there: str) -> None:
    (tmp_path / f"vendor{there}").mkdir()
    refused(run_here(tmp_path, "airgap-bundle", "keygen", "vendor"), 2, "UsageError")
    assert [path.name for path in tmp_path.iterdir()] == [f"vendor{there}"]


def test_keygen_leaves_no_half_of_a_pair_on_a_full_disk(tmp_path: Path) -> None:
    """There is room for the public key, and for nothing more."""
    with mounted(tmp_path / "disk", "size=4k") as disk:
        refused(run_here(disk, "airgap-bundle", "keygen", "vendor"), 30, "DiskFull")
        assert not list(disk.iterdir())


def test_keys_and_rules_need_a_disk_that_can_be_written(folder: Path) -> None:
    with mounted(folder / "disk", "ro"):
        for command in (("keygen", "disk/k"), ("discover", "app.yaml", "--write-rules", "disk/r")):
            refused(run_here(folder, "airgap-bundle", *command), 30, "OutputNotWritable")
        trust = ("trust", "create", "-o", "disk/p", "--key", "vendor.pub", "--app", "shop")
        refused(run_here(folder, "airgap-import", *trust), 30, "OutputNotWritable")


@pytest.mark.parametrize("length", [240, 250, 300])
@pytest.mark.parametrize("options", [(), ("--split", "1M")])
def test_a_bundle_needs_a_name_that_the_file_system_takes(
    folder: Path, length: int, options: tuple[str, ...]
) -> None:
    before = sorted(folder.iterdir())
    refused(create(folder, *options, output="a" * length), 30, "OutputNotWritable")
    assert sorted(folder.iterdir()) == before


def test_other_names_that_no_file_system_takes(folder: Path) -> None:
    write_key_pair(folder, "other")
    succeeded(create(folder))
    long = "a" * 300
    for command in (("create", long, *NAMED, "-o", "x"), ("discover", long)):
        done = refused(run_here(folder, "airgap-bundle", *command), 2, "UsageError")
        assert "no such file or folder" in done.err
    sign = ("sign", "out", "--key", "other.key", "-o", long)
    refused(run_here(folder, "airgap-bundle", *sign), 2, "UsageError")
    split = ("split", "out", "--size", "1M", "-o", long)
    refused(run_here(folder, "airgap-bundle", *split), 30, "OutputNotWritable")


def test_a_passphrase_without_an_end_is_refused(tmp_path: Path) -> None:
    command = ("keygen", "vendor", "--passphrase-file", "/dev/zero")
    refused(run_here(tmp_path, "airgap-bundle", *command), 2, "KeyFileInvalid")
    assert not list(tmp_path.iterdir())


def test_what_a_user_gives_is_read_up_to_a_limit() -> None:
    for endless in (Wanted(images_file=ENDLESS), Wanted(("app.yaml",), rules_file=ENDLESS)):
        with pytest.raises(LimitExceeded):
            gather(endless, b"")
    with pytest.raises(UsageError):
        gather(Wanted(images_file=Path("/nowhere/images.txt")), b"")
    assert len(read_stream(io.BytesIO(bytes(SIZE_LIMIT)), "-")) == SIZE_LIMIT
    with ENDLESS.open("rb") as stream, pytest.raises(LimitExceeded):
        read_stream(stream, "-")


def test_files_that_differ_in_case_only_are_refused(folder: Path) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "a.yaml").write_bytes(MANIFEST)
    (folder / "app" / "A.yaml").write_bytes(MANIFEST)
    if len(list((folder / "app").iterdir())) == 1:
        pytest.skip("this file system does not tell them apart")
    assert "a.yaml" in refused(create(folder, "app"), 2, "UsageError").err


@pytest.mark.parametrize("wish", ["sequence", "time", "nothing"])
def test_an_interrupted_run_is_gone_on_with_unless_another_is_asked_for(
    folder: Path, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded(create(folder))
    before = (folder / "out").read_bytes()
    (folder / "out").rename(folder / "out.partial")
    if wish == "time":
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    done = succeeded(create(folder, *(("--sequence", "5") if wish == "sequence" else ())))
    assert ("starting over" in done.err) is (wish != "nothing")
    assert ((folder / "out").read_bytes() == before) is (wish == "nothing")
    if wish != "nothing":
        assert sequence_of(folder, "out") == 5


@pytest.mark.parametrize("before", ["previous", "replaced", "agreed"])
def test_an_interrupted_run_is_no_way_back_behind_the_bundle_before(
    folder: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    for output, age in (("out", 3600), ("other", 1800)):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(now - age))
        succeeded(create(folder, output=output))
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    (folder / "out").rename(folder / "out.partial")
    if before == "replaced":
        (folder / "other").rename(folder / "out")
    options = {
        "previous": ("--previous", "other"),
        "replaced": (),
        "agreed": ("--previous", "other", "--allow-lower-sequence"),
    }
    done = succeeded(create(folder, *options[before]))
    assert ("starting over" in done.err) is (before != "agreed")
    made = sequence_of(folder, "out")
    assert made == now - 3600 if before == "agreed" else made >= now
