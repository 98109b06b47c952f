"""``airgap-import trust``: a policy's whole life, from the first key to the one that is revoked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airgap_shared.stores.policystore import load_policy
from airgap_shared.trust.envelope import PAYLOAD_TYPE, Envelope
from airgap_shared.trust.policyupdate import compose_policy_statement
from airgap_shared.trust.privatekey import parse_private_key
from airgap_shared.trust.signing import countersign
from support.budget import budget
from support.commands import COUNTED, Finished, Shell
from support.figures import Figure
from support.in_process import run_here
from support.journey import refused, succeeded, tree_of

NAMES = ("vendor", "officer", "next", "stranger")
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs, an id of each key, and a bundle ``shop.tar.zst`` by the vendor."""
    folder = tmp_path_factory.mktemp("made")
    for name in NAMES:
        scheme = "rsa-pkcs1v15-sha256" if name == "officer" else "ecdsa-p256-sha256"
        keygen = ("keygen", name, "--scheme", scheme, "--format", "json")
        done = succeeded(run_here(folder, "airgap-bundle", *keygen))
        (folder / f"{name}.id").write_text(json.loads(done.out)["keyId"])
    (folder / "app.yaml").write_text(MANIFEST)
    create = ("create", "app.yaml", "--name", "shop", "--version", "1", "--key", "vendor.key")
    succeeded(run_here(folder, "airgap-bundle", *create, "-o", "shop.tar.zst"))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of all that, and a policy in which the vendor signs the shop."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    succeeded(
        trust(
            tmp_path,
            *("create", "-o", "policy.json", "--key", "vendor.pub", "--owner", "the vendor"),
            *("--app", "shop"),
        )
    )
    return tmp_path


def trust(folder: Path, *command: str) -> Finished:
    return run_here(folder, "airgap-import", "trust", *command)


def here(folder: Path, *command: str) -> Finished:
    """A command about ``policy.json``."""
    return trust(folder, *command, "--policy", "policy.json")


def verify(folder: Path, *options: str) -> Finished:
    command = ("verify", "shop.tar.zst", "--policy", "policy.json", *options)
    return run_here(folder, "airgap-import", *command)


def key_id(folder: Path, name: str) -> str:
    return (folder / f"{name}.id").read_text()


def policy(folder: Path, name: str = "policy.json") -> dict[str, Any]:
    loaded = json.loads((folder / name).read_text())
    assert isinstance(loaded, dict)
    return loaded


def history(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "policy.history").glob("*"))


def test_a_policy_is_made_and_used(folder: Path) -> None:
    assert policy(folder)["version"] == 1
    assert (folder / "policy.json").stat().st_mode & 0o777 == 0o644
    said = succeeded(here(folder, "show")).out
    for part in (key_id(folder, "vendor"), "the vendor", "shop (any channel)", "version 1"):
        assert part in said
    shown = json.loads(succeeded(here(folder, "show", "--format", "json")).out)
    assert shown["policy"] == policy(folder)
    succeeded(verify(folder))


def test_one_that_is_there_is_not_made_anew(folder: Path) -> None:
    before = tree_of(folder)
    again = ("create", "-o", "policy.json", "--key", "officer.pub", "--app", "shop")
    refused(trust(folder, *again), 2, "UsageError")
    assert tree_of(folder) == before


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--key", "vendor.pub", "--app", "shop", "--threshold", "2"), "PolicyInvalid"),
        (("--key", "vendor.pub", "--app", "shop", "--threshold", "0"), "PolicyInvalid"),
        (("--key", "vendor.pub", "--key", "vendor.pub", "--app", "s", "--threshold", "2"),
         "PolicyInvalid"),
        (("--key", "vendor.pub", "--app", "Shop"), "UsageError"),
        (("--key", "vendor.pub", "--app", "shop", "--app", "shop"), "PolicyInvalid"),
        (("--key", "vendor.pub", "--app", "shop", "--registry-prefix", "https://r"),
         "PolicyInvalid"),
        (("--key", "vendor.key", "--app", "shop"), "KeyFileInvalid"),
        (("--key", "vendor.pub", "--app", "shop", "--owner", "a\nb"), "PolicyInvalid"),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_not_made(
    folder: Path, options: tuple[str, ...], name: str
) -> None:
    refused(trust(folder, "create", "-o", "other.json", *options), 2, name)
    assert not (folder / "other.json").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_none_is_made_where_no_command_would_take_it(folder: Path, mode: int) -> None:
    place = folder / "open"
    place.mkdir()
    place.chmod(mode)
    create = ("create", "-o", "open/policy.json", "--key", "vendor.pub", "--app", "shop")
    said = refused(trust(folder, *create), 2, "PolicyInvalid").err
    assert "chmod go-w open" in said
    assert not list(place.iterdir())
    place.chmod(0o1777)
    succeeded(trust(folder, *create))
    succeeded(trust(folder, "show", "--policy", "open/policy.json"))


def test_where_no_folder_is_the_place_is_wrong(folder: Path) -> None:
    create = ("create", "-o", "none/policy.json", "--key", "vendor.pub", "--app", "shop")
    refused(trust(folder, *create), 2, "UsageError")


def test_a_rotation(folder: Path) -> None:
    """Add the new key with an overlap, then give the old one an end."""
    before = (folder / "policy.json").read_bytes()
    succeeded(here(folder, "add-key", "next.pub", "--app", "shop", "--owner", "vendor, next year"))
    assert policy(folder)["version"] == 2
    assert policy(folder)["apps"][0]["keys"] == [key_id(folder, "vendor"), key_id(folder, "next")]
    succeeded(verify(folder))
    end = ("--owner", "vendor", "--not-after", "2026-01-01")
    succeeded(here(folder, "add-key", "vendor.pub", *end))
    assert policy(folder)["version"] == 3
    refused(verify(folder), 11, "KeyExpired")
    assert history(folder) == ["1.json", "2.json"]
    assert (folder / "policy.history" / "1.json").read_bytes() == before


def test_a_revocation(folder: Path) -> None:
    done = here(folder, "revoke", key_id(folder, "vendor"), "--reason", "laptop stolen")
    assert "warning: shop (any channel): 1 keys must sign, 0 are left" in succeeded(done).out
    assert "laptop stolen" in refused(verify(folder), 11, "KeyRevoked").err
    assert "REVOKED" in succeeded(here(folder, "show")).out
    before = tree_of(folder)
    for again in (
        ("revoke", key_id(folder, "vendor"), "--reason", "twice"),
        ("revoke", key_id(folder, "vendor")[:-1], "--reason", "a slip of the hand"),
        ("add-key", "vendor.pub", "--app", "shop"),
    ):
        refused(here(folder, *again), 2, "PolicyInvalid")
    assert tree_of(folder) == before


def test_another_application(folder: Path) -> None:
    succeeded(here(folder, "add-key", "officer.pub"))
    bank = ("add-app", "bank", "--key-id", key_id(folder, "officer"), "--registry-prefix", "r/bank")
    succeeded(here(folder, *bank))
    both = [part for name in ("vendor", "officer") for part in ("--key-id", key_id(folder, name))]
    succeeded(here(folder, "add-app", "shop", *both, "--threshold", "2", "--max-age-days", "30"))
    shop = next(app for app in policy(folder)["apps"] if app["name"] == "shop")
    assert (len(shop["keys"]), shop["threshold"], shop["max_age_days"]) == (2, 2, 30)
    assert "1 of 2" in refused(verify(folder), 11, "SignatureThresholdNotMet").err
    for wrong, name in (
        (("add-app", "bank", "--key-id", key_id(folder, "next")), "PolicyInvalid"),
        (("add-app", "bank", "--threshold", "3"), "PolicyInvalid"),
        (("add-key", "next.pub", "--app", "unknown"), "UsageError"),
    ):
        refused(here(folder, *wrong), 2, name)


class TestWhatIsNotGivenStays:
    """A change of one thing takes no restriction away that it does not name."""

    def _entry(self, folder: Path) -> dict[str, Any]:
        entry = policy(folder)["keys"][key_id(folder, "vendor")]
        return {name: entry[name] for name in entry if name not in ("pem", "scheme")}

    def test_of_a_key(self, folder: Path) -> None:
        times = ("--not-before", "2025-01-01", "--not-after", "2027-01-01")
        succeeded(here(folder, "add-key", "vendor.pub", *times))
        whole = {
            "owner": "the vendor",
            "not_before": "2025-01-01T00:00:00Z",
            "not_after": "2027-01-01T00:00:00Z",
        }
        assert self._entry(folder) == whole
        succeeded(here(folder, "add-key", "officer.pub"))
        succeeded(here(folder, "add-app", "bank", "--key-id", key_id(folder, "officer")))
        succeeded(here(folder, "add-key", "vendor.pub", "--app", "bank"))
        assert self._entry(folder) == whole
        succeeded(here(folder, "add-key", "vendor.pub", "--owner", "another"))
        assert self._entry(folder) == {**whole, "owner": "another"}
        succeeded(here(folder, "add-key", "vendor.pub", "--without", "not-after"))
        assert self._entry(folder) == {"owner": "another", "not_before": whole["not_before"]}

    def test_of_an_application(self, folder: Path) -> None:
        succeeded(here(folder, "add-key", "officer.pub", "--app", "shop"))
        succeeded(here(folder, "add-key", "next.pub"))
        strict = ("--threshold", "2", "--max-age-days", "30", "--registry-prefix", "r/shop")
        succeeded(here(folder, "add-app", "shop", *strict, "--allow-rollback"))
        (before,) = policy(folder)["apps"]
        succeeded(here(folder, "add-app", "shop", "--max-age-days", "90"))
        (after,) = policy(folder)["apps"]
        assert after == {**before, "max_age_days": 90}
        assert (len(after["keys"]), after["threshold"], after["allow_rollback"]) == (2, 2, True)
        away = ("--without", "registry-prefix", "--without", "max-age-days")
        succeeded(here(folder, "add-app", "shop", *away, "--forbid-rollback"))
        (freed,) = policy(folder)["apps"]
        for limit in ("registry_prefix", "max_age_days"):
            assert after.pop(limit)
        assert freed == {**after, "allow_rollback": False}

    @pytest.mark.parametrize(
        "command",
        [
            ("add-key", "vendor.pub", "--not-after", ""),
            ("add-key", "vendor.pub", "--not-before", ""),
            ("add-key", "vendor.pub", "--not-after", "2027-01-01", "--without", "not-after"),
            ("add-key", "vendor.pub", "--without", "max-age-days"),
            ("add-app", "shop", "--registry-prefix", ""),
            ("add-app", "shop", "--channel", ""),
            ("add-app", "shop", "--max-age-days", "9", "--without", "max-age-days"),
            ("add-app", "shop", "--registry-prefix", "r", "--without", "registry-prefix"),
            ("create", "-o", "new.json", "--key", "vendor.pub", "--app", "shop",
             "--registry-prefix", ""),
        ],
    )  # fmt: skip
    def test_nothing_is_no_value(self, folder: Path, command: tuple[str, ...]) -> None:
        """A variable that is not set takes no restriction away either."""
        before = tree_of(folder)
        run = trust if command[0] == "create" else here
        refused(run(folder, *command), 2, "UsageError", "PolicyInvalid")
        after = tree_of(folder)
        after.pop(".policy.json.lock", None)
        assert after == before


class TestChangesAreShown:
    """Each command that changes a policy says what is otherwise, and what is less strict."""

    def _changes(self, done: Finished) -> list[tuple[str, str]]:
        changes = json.loads(succeeded(done).out)["changes"]
        return [(change["kind"], change["subject"]) for change in changes]

    def test_by_each_command(self, folder: Path) -> None:
        json_form = ("--format", "json")
        named = {name: f"key {key_id(folder, name)}" for name in NAMES}
        end = ("--app", "shop", "--not-after", "2027-01-01")
        done = here(folder, "add-key", "next.pub", *end, *json_form)
        assert self._changes(done) == [("added", named["next"]), ("looser", "shop (any channel)")]
        done = here(folder, "add-key", "next.pub", "--without", "not-after", *json_form)
        assert self._changes(done) == [("looser", named["next"])]
        done = here(folder, "add-app", "shop", "--threshold", "2", *json_form)
        assert self._changes(done) == [("stricter", "shop (any channel)")]
        stolen = ("revoke", key_id(folder, "stranger"), "--reason", "stolen")
        assert self._changes(here(folder, *stolen, *json_form)) == [("revoked", named["stranger"])]
        said = succeeded(here(folder, "add-app", "shop", "--threshold", "1")).out
        assert "\nchanges:\n  looser: shop (any channel): keys that must sign: 2 → 1\n" in said
        assert "\nchanges: none\n" in succeeded(here(folder, "add-app", "shop")).out

    def test_by_an_update_and_of_a_draft_since_the_policy_in_force(self, folder: Path) -> None:
        draft = ("--draft", "2.json", "--format", "json")
        succeeded(here(folder, "add-app", "bank", *draft))
        done = here(folder, "add-app", "shop", "--allow-rollback", *draft)
        expected = [("added", "application bank (any channel)"), ("looser", "shop (any channel)")]
        assert sorted(self._changes(done)) == expected
        succeeded(trust(folder, "sign", "2.json", "--key", "vendor.key", "-o", "2.dsse.json"))
        update = ("update", "2.dsse.json", "--format", "json")
        assert sorted(self._changes(here(folder, *update))) == expected
        assert self._changes(here(folder, *update)) == []


@pytest.mark.parametrize("days", ["0", "36501", "1000000000000", "9" * 40])
def test_an_age_beyond_time_is_a_slip_on_the_command_line(folder: Path, days: str) -> None:
    before = tree_of(folder)
    create = ("create", "-o", "other.json", "--key", "vendor.pub", "--app", "shop")
    for command in (create, ("add-app", "shop", "--policy", "policy.json")):
        said = refused(trust(folder, *command, "--max-age-days", days), 2, "UsageError").err
        assert "--max-age-days" in said
        assert "a number from 1 to 36500" in said
    assert tree_of(folder) == before
    succeeded(here(folder, "add-app", "shop", "--max-age-days", "36500"))


def test_no_name_makes_lines_of_a_report(folder: Path) -> None:
    name = "policy.json\nupdates: 1 of SHA256:AAAA"
    (folder / "policy.json").rename(folder / name)
    said = succeeded(trust(folder, "show", "--policy", name)).out
    assert said.startswith("policy.json\\nupdates: 1 of SHA256:AAAA\n\nversion 1\nkeys:\n")
    assert "\nupdates: 1 of SHA256:AAAA" not in said


class TestDraftThatIsThePolicy:
    """A draft has neither lock nor history, so it may not be the policy in force."""

    @pytest.mark.parametrize(
        "name",
        ["policy.json", "./policy.json", "new/../policy.json", "link", "hard", "up/policy.json"],
    )
    def test_it_is_refused(self, folder: Path, name: str) -> None:
        (folder / "new").mkdir()
        (folder / "link").symlink_to("policy.json")
        (folder / "hard").hardlink_to(folder / "policy.json")
        (folder / "up").symlink_to(".")
        before = (folder / "policy.json").read_bytes()
        left = tree_of(folder)
        for command in (
            ("add-key", "next.pub", "--app", "shop"),
            ("add-app", "bank"),
            ("revoke", key_id(folder, "next"), "--reason", "lost"),
        ):
            said = refused(here(folder, *command, "--draft", name), 2, "UsageError").err
            assert f"--draft {Path(name)}" in said
        assert (folder / "policy.json").read_bytes() == before
        assert tree_of(folder) == left
        succeeded(here(folder, "add-key", "next.pub", "--draft", "new/policy.json"))


class TestDraftThatIsStale:
    """What changed in the policy since a draft was begun is not in the draft."""

    @pytest.fixture
    def begun(self, folder: Path) -> Path:
        succeeded(here(folder, "add-key", "next.pub", "--app", "shop", "--draft", "2.json"))
        return folder

    def _refused(self, folder: Path, match: str) -> None:
        before = tree_of(folder)
        for command in (
            ("add-key", "officer.pub"),
            ("add-app", "bank"),
            ("revoke", key_id(folder, "next"), "--reason", "lost"),
        ):
            said = refused(here(folder, *command, "--draft", "2.json"), 2, "PolicyInvalid").err
            assert "--draft 2.json" in said
            assert match in said
            assert "begin a new draft" in said
        assert tree_of(folder) == before

    def test_a_revocation_meanwhile_is_not_lost(self, begun: Path) -> None:
        stolen = ("revoke", key_id(begun, "stranger"), "--reason", "stolen")
        succeeded(here(begun, *stolen))
        self._refused(begun, "the draft is version 2, and version 2 is in force")
        # What had been signed before it does not get in either.
        succeeded(trust(begun, "sign", "2.json", "--key", "vendor.key", "-o", "2.dsse.json"))
        refused(here(begun, "update", "2.dsse.json"), 2, "PolicyInvalid")
        succeeded(here(begun, "add-key", "next.pub", "--draft", "3.json"))
        assert policy(begun, "3.json")["revoked"] == policy(begun)["revoked"] != []

    def test_an_application_meanwhile_is_not_lost(self, begun: Path) -> None:
        for name in ("bank", "depot"):
            succeeded(here(begun, "add-app", name))
        self._refused(begun, "the draft is version 2, and version 3 is in force")

    def test_nor_a_revocation_by_an_editor_that_left_the_number(self, begun: Path) -> None:
        document = policy(begun)
        document["revoked"] = [{"key": key_id(begun, "stranger")}]
        (begun / "policy.json").write_text(json.dumps(document))
        self._refused(begun, f"does not revoke {key_id(begun, 'stranger')}")


class TestA21:
    """Versions that come signed from elsewhere."""

    @pytest.fixture
    def ready(self, folder: Path) -> Path:
        """Version 3 is in force: the vendor alone signs updates. ``4.json`` is to follow."""
        succeeded(here(folder, "add-key", "officer.pub"))
        succeeded(here(folder, "add-app", "shop", "--key-id", key_id(folder, "vendor")))
        document = policy(folder)
        document["updates"] = {"keys": [key_id(folder, "vendor")], "threshold": 1}
        (folder / "policy.json").write_text(json.dumps(document))
        assert document["version"] == 3
        draft = ("--draft", "4.json")
        succeeded(here(folder, "add-key", "next.pub", "--app", "shop", *draft))
        succeeded(here(folder, "revoke", key_id(folder, "officer"), "--reason", "left", *draft))
        assert policy(folder)["version"] == 3
        assert policy(folder, "4.json")["version"] == 4
        assert len(policy(folder, "4.json")["keys"]) == 3
        return folder

    def _sign(self, folder: Path, draft: str, *names: str) -> str:
        """``DRAFT.dsse.json``, signed by these one after the other."""
        signed = f"{draft}.dsse.json"
        for number, name in enumerate(names):
            add = ("--add", signed) if number else ()
            command = ("sign", draft, "--key", f"{name}.key", "-o", "new.dsse.json", *add)
            succeeded(trust(folder, *command))
            (folder / "new.dsse.json").rename(folder / signed)
        return signed

    def _keeps(self, folder: Path, signed: str, code: int, name: str) -> Finished:
        before = tree_of(folder)
        done = refused(here(folder, "update", signed), code, name)
        assert tree_of(folder) == before
        assert "the policy in force was kept" in done.err
        return done

    def _numbered(self, folder: Path, version: int) -> str:
        document = {**policy(folder, "4.json"), "version": version}
        (folder / "other.json").write_text(json.dumps(document))
        return "other.json"

    def test_the_next_one_is_installed(self, ready: Path) -> None:
        signed = self._sign(ready, "4.json", "vendor")
        said = succeeded(here(ready, "update", signed)).out
        assert f"signed by {key_id(ready, 'vendor')}" in said
        assert (ready / "policy.json").read_bytes() == (ready / "4.json").read_bytes()
        assert history(ready) == ["1.json", "2.json", "3.json", "4.dsse.json"]
        after = tree_of(ready)
        assert "already" in succeeded(here(ready, "update", signed)).out
        assert tree_of(ready) == after

    def test_what_only_an_expired_key_signed_is_recorded_with_the_claimed_time(
        self, ready: Path
    ) -> None:
        end = ("--not-after", "2026-06-01", "--policy", "policy.json")
        succeeded(trust(ready, "add-key", "vendor.pub", *end))
        succeeded(here(ready, "add-key", "next.pub", "--app", "shop", "--draft", "5.json"))
        signed = self._sign(ready, "5.json", "vendor")
        self._keeps(ready, signed, 11, "SignatureThresholdNotMet")
        said = succeeded(here(ready, "update", signed, "--now", "2026-05-01")).out
        assert "judged by --now 2026-05-01, which is recorded" in said
        assert history(ready)[-2:] == ["5.accepted.json", "5.dsse.json"]
        record = json.loads((ready / "policy.history" / "5.accepted.json").read_text())
        assert record.pop("clock") >= "2026-06-01T00:00:00Z"
        assert record == {
            "version": 5,
            "now": "2026-05-01T00:00:00Z",
            "signers": [key_id(ready, "vendor")],
        }

    @pytest.mark.parametrize("version", [2, 3, 5])
    def test_none_but_the_next_one(self, ready: Path, version: int) -> None:
        signed = self._sign(ready, self._numbered(ready, version), "vendor")
        said = self._keeps(ready, signed, 2, "PolicyInvalid").err
        assert "only 4 can follow" in said

    @pytest.mark.parametrize("names", [("next",), ("stranger",), ("next", "officer")])
    def test_not_without_those_who_are_trusted_now(
        self, ready: Path, names: tuple[str, ...]
    ) -> None:
        signed = self._sign(ready, "4.json", *names)
        said = self._keeps(ready, signed, 11, "SignatureThresholdNotMet").err
        assert "0 of 1 keys of the policy in force" in said

    def test_not_without_those_whom_it_names(self, ready: Path) -> None:
        document = policy(ready, "4.json")
        document["updates"] = {"keys": [key_id(ready, "next")], "threshold": 1}
        (ready / "4.json").write_text(json.dumps(document))
        signed = self._sign(ready, "4.json", "vendor")
        said = self._keeps(ready, signed, 11, "SignatureThresholdNotMet").err
        assert "0 of 1 keys of the new policy itself" in said
        (ready / signed).unlink()
        succeeded(here(ready, "update", self._sign(ready, "4.json", "vendor", "next")))

    def test_not_without_what_is_revoked(self, ready: Path) -> None:
        succeeded(here(ready, "revoke", key_id(ready, "stranger"), "--reason", "stolen"))
        document = {**policy(ready), "version": 5, "revoked": []}
        (ready / "5.json").write_text(json.dumps(document))
        said = self._keeps(ready, self._sign(ready, "5.json", "vendor"), 2, "PolicyInvalid").err
        assert key_id(ready, "stranger") in said

    def test_not_a_signed_bundle(self, ready: Path) -> None:
        archive = subprocess.run(
            ["zstd", "-dcq", "shop.tar.zst"], cwd=ready, capture_output=True, check=False
        ).stdout
        envelope = subprocess.run(
            ["tar", "-xOf", "-", "airgap-bundle.dsse.json"],
            input=archive, capture_output=True, check=True,
        ).stdout  # fmt: skip
        (ready / "bundle.dsse.json").write_bytes(envelope)
        before = tree_of(ready)
        done = here(ready, "update", "bundle.dsse.json")
        refused(done, 11, "PredicateTypeUnsupported")
        assert tree_of(ready) == before

    def test_a_policy_is_no_signature_of_a_bundle(self, ready: Path) -> None:
        signed = self._sign(ready, "4.json", "vendor")
        refused(verify(ready, "--signature", signed), 11, "PayloadMismatch")

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
    def test_the_key_may_be_in_other_hands(self, ready: Path) -> None:
        program = ready / "hsm"
        program.write_text("#!/bin/sh\nexec openssl dgst -sha256 -sign vendor.key\n")
        program.chmod(0o755)
        command = ("sign", "4.json", "--key", "vendor.pub", "--signer-cmd", "./hsm")
        succeeded(trust(ready, *command, "-o", "4.dsse.json"))
        succeeded(here(ready, "update", "4.dsse.json"))

    @pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
    @pytest.mark.parametrize("call", ["fsync", "rename", "write", "unlink", "mkdir", "openat"])
    def test_a_kill_at_any_moment_leaves_the_old_or_the_new(
        self, ready: Path, tmp_path_factory: pytest.TempPathFactory, figure: Figure, call: str
    ) -> None:
        signed = self._sign(ready, "4.json", "vendor")
        old, new = ((ready / name).read_bytes() for name in ("policy.json", "4.json"))
        start = tmp_path_factory.mktemp("start")
        shutil.copytree(ready, start, dirs_exist_ok=True)
        update = ("airgap-import", "trust", "update", signed, "--policy", "policy.json")
        seen = set()
        moments = self._moments(ready, update, call)
        # The first and last of them in any case.
        step = max(1, (len(moments) - 1) // budget(2, len(moments)))
        tried = [*moments[:-1:step], moments[-1]]
        for number in tried:
            shutil.rmtree(ready)
            shutil.copytree(start, ready)
            killed = self._strace(
                ready, update, "-e", f"inject=/{call}:signal=SIGKILL:when={number}"
            )
            assert killed.returncode != 0
            left = (ready / "policy.json").read_bytes()
            assert left in (old, new)
            seen.add(left)
            succeeded(here(ready, "update", signed))
            assert (ready / "policy.json").read_bytes() == new
            assert (ready / "policy.history" / "3.json").read_bytes() == old
            assert not list(ready.glob(".*.new"))
        assert old in seen
        figure("kills of a policy update", len(tried))

    def _moments(self, folder: Path, command: tuple[str, ...], call: str) -> list[int]:
        """Which of the calls of this kind are about the policy's folder, or on its files."""
        log = folder / "trace"
        done = self._strace(folder, command, "-y", "-e", f"trace=/{call}", "-o", str(log))
        assert done.returncode == 0, done.stderr
        lines = [line for line in log.read_text().splitlines() if "(" in line]
        ours = re.compile(r"policy\.json|policy\.history|[34]\.(dsse\.)?json|" + str(folder))
        calls = [re.sub("AT_FDCWD<[^>]*>", "", line) for line in lines]
        moments = [at for at, line in enumerate(calls, 1) if ours.search(line)]
        assert moments, lines[-5:]
        return moments

    def _strace(
        self, folder: Path, command: tuple[str, ...], *options: str
    ) -> subprocess.CompletedProcess[bytes]:
        shell = Shell(folder, COUNTED)
        return subprocess.run(
            ["strace", "-f", *options, *shell.command_line(*command)],
            cwd=folder,
            env=shell.environment,
            capture_output=True,
            check=False,
        )


def test_a_policy_too_large_once_it_is_in_force_is_not_signed(folder: Path) -> None:
    """A draft may spare spaces and escapes; what is written from it does not."""
    document = policy(folder)
    document["version"] = 2
    digests = (hashlib.sha256(str(number).encode()).digest() for number in range(2450))
    ids = [f"SHA256:{base64.b64encode(one).decode().rstrip('=')}" for one in digests]
    document["revoked"] = [{"key": one, "reason": "r" * 350} for one in ids]
    (folder / "2.json").write_text(json.dumps(document, separators=(",", ":")))
    before = tree_of(folder)
    done = trust(folder, "sign", "2.json", "--key", "vendor.key", "-o", "2.dsse.json")
    refused(done, 2, "PolicyInvalid")
    assert tree_of(folder) == before
    # By another tool it may have been signed all the same.
    unsigned = Envelope(PAYLOAD_TYPE, compose_policy_statement(load_policy(folder / "2.json")), ())
    key = parse_private_key((folder / "vendor.key").read_bytes(), None)
    (folder / "2.dsse.json").write_bytes(countersign(unsigned, [], key).to_json())
    refused(here(folder, "update", "2.dsse.json"), 2, "PolicyInvalid")
    assert policy(folder)["version"] == 1
    succeeded(here(folder, "show"))
