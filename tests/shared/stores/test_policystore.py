"""The policy file: who may have written it, and that it is never half of one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap_shared.errors import Locked, OutputNotWritable, PolicyInvalid
from airgap_shared.stores.policystore import (
    hold_policy,
    load_policy,
    policy_exists,
    write_policy,
)
from airgap_shared.trust.policy import AppTrust, TrustedKey, TrustPolicy
from airgap_shared.trust.policyfile import compose_policy
from support.keys import fixed_key

KEY = fixed_key(1).public_key
POLICY = TrustPolicy((TrustedKey(KEY),), (AppTrust((KEY,)),), version=3)
NEXT = replace(POLICY, version=4)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A policy in a folder of its own, as an administrator would leave it."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    (folder / "policy.json").write_bytes(compose_policy(POLICY))
    (folder / "policy.json").chmod(0o644)
    return folder / "policy.json"


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o444, 0o755])
def test_a_policy_that_only_its_owner_writes_is_taken(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert load_policy(path) == POLICY


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646, 0o620, 0o602])
def test_a_policy_that_others_can_write_is_none(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(PolicyInvalid, match="others can write") as caught:
        load_policy(path)
    assert caught.value.next_step == f"chmod go-w {path}"


def test_a_policy_that_anybody_can_replace_is_none(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(PolicyInvalid, match="anybody can replace") as caught:
        load_policy(path)
    assert caught.value.next_step == f"chmod go-w {path.parent}"
    path.parent.chmod(0o1777)
    assert load_policy(path) == POLICY


def test_a_policy_that_a_group_can_replace_is_none(path: Path) -> None:
    path.parent.chmod(0o775)
    with pytest.raises(PolicyInvalid, match="writable for its group") as caught:
        load_policy(path)
    assert caught.value.where == str(path.parent)
    assert caught.value.next_step == f"chmod go-w {path.parent}"
    with pytest.raises(PolicyInvalid), hold_policy(path):
        pass
    with pytest.raises(PolicyInvalid):
        write_policy(path, NEXT)
    path.parent.chmod(0o1775)
    assert load_policy(path) == POLICY


@needs_root
@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_policy_in_the_folder_of_another_user_is_none(path: Path, mode: int) -> None:
    os.chown(path.parent, 65534, 65534)
    path.parent.chmod(mode)
    with pytest.raises(PolicyInvalid, match="folder belongs to") as caught:
        load_policy(path)
    assert caught.value.where == str(path.parent)
    assert caught.value.next_step == f"chown root {path.parent}"


@needs_root
def test_a_policy_of_another_user_is_none(path: Path) -> None:
    os.chown(path, 65534, 65534)
    with pytest.raises(PolicyInvalid, match="another user") as caught:
        load_policy(path)
    assert caught.value.next_step == f"chown root {path}"


def _link(path: Path) -> None:
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o644)


@pytest.mark.parametrize("make", [_link, _folder, _pipe, Path.unlink])
def test_what_is_no_file_of_its_own_is_none(path: Path, make: Callable[[Path], object]) -> None:
    make(path)
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(path)
    assert str(path) in caught.value.where


def test_a_place_where_nothing_is_is_told_from_one_that_cannot_be_used(path: Path) -> None:
    assert policy_exists(path)
    assert not policy_exists(path.with_name("other.json"))
    assert not policy_exists(path / "below")
    _link(path)
    path.with_name("real.json").unlink()
    assert policy_exists(path)


def test_a_version_takes_the_place_of_another(path: Path) -> None:
    before = path.read_bytes()
    with hold_policy(path) as held:
        assert held.policy == POLICY
        held.replace(NEXT, b"signed")
    assert load_policy(path) == NEXT
    assert path.read_bytes() == compose_policy(NEXT)
    assert path.stat().st_mode & 0o7777 == 0o644
    history = path.parent / "policy.history"
    assert (history / "3.json").read_bytes() == before
    assert (history / "4.dsse.json").read_bytes() == b"signed"
    names = {entry.name for entry in path.parent.rglob("*")}
    names.remove(".policy.json.lock")
    assert names == {"policy.json", "policy.history", "3.json", "4.dsse.json"}


def test_how_a_version_was_judged_is_kept_before_it_is_in_force(path: Path) -> None:
    with hold_policy(path) as held:
        held.replace(NEXT, b"signed", b"by another clock")
    assert (path.parent / "policy.history" / "4.accepted.json").read_bytes() == b"by another clock"


def test_the_umask_does_not_matter(path: Path) -> None:
    before = os.umask(0o777)
    try:
        with hold_policy(path) as held:
            held.replace(NEXT)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o644


def test_two_versions_of_one_number_are_both_kept(path: Path) -> None:
    other = replace(POLICY, judge_at_creation=True)
    for policy in (POLICY, other, other, POLICY):
        write_policy(path, policy)
        with hold_policy(path) as held:
            held.replace(NEXT)
    kept = {entry.read_bytes() for entry in (path.parent / "policy.history").iterdir()}
    assert kept == {compose_policy(POLICY), compose_policy(other)}
    assert len(list((path.parent / "policy.history").iterdir())) == 2


def test_what_a_killed_run_left_does_not_matter(path: Path) -> None:
    (path.parent / ".policy.json.new").symlink_to("/etc/hostname")
    before = Path("/etc/hostname").read_bytes()
    with hold_policy(path) as held:
        held.replace(NEXT)
    assert load_policy(path) == NEXT
    assert Path("/etc/hostname").read_bytes() == before
    assert not (path.parent / ".policy.json.new").is_symlink()


def test_one_change_at_a_time(path: Path) -> None:
    with hold_policy(path), pytest.raises(Locked), hold_policy(path):
        pass
    assert load_policy(path) == POLICY
    with hold_policy(path):
        pass


def test_who_may_only_read_the_policy_keeps_nobody_from_changing_it(path: Path) -> None:
    for readable in (path, path.parent):
        held = os.open(readable, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            with hold_policy(path):
                pass
        finally:
            os.close(held)
    assert (path.parent / ".policy.json.lock").stat().st_mode & 0o7777 == 0o600


def test_where_no_policy_is_no_lock_is_left(path: Path) -> None:
    path.unlink()
    with pytest.raises(PolicyInvalid, match="no such policy"), hold_policy(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_a_history_that_leads_elsewhere_is_not_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (path.parent / "policy.history").symlink_to(elsewhere)
    with pytest.raises(OutputNotWritable) as caught, hold_policy(path) as held:
        held.replace(NEXT)
    assert caught.value.changed == "the policy in force was kept"
    assert load_policy(path) == POLICY
    assert list(elsewhere.iterdir()) == []
