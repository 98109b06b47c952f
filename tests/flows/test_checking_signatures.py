"""A22: the check of docs/checking-signatures.md, run as it is printed, on good and bad bundles."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.hostile import (
    END,
    ENVELOPE,
    Draft,
    Key,
    Member,
    RsaKey,
    header_of,
    pack,
    padded,
    seal,
    segment_of,
)
from support.images import make_image
from support.in_process import run_here
from support.journey import deployment, succeeded

_PAGE = Path(__file__).parents[2] / "docs" / "checking-signatures.md"
_NEEDED = ("openssl", "zstd", "tar", "sed", "sh")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in _NEEDED), reason=f"one of {_NEEDED} is not here"
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    return {"vendor": Key(), "officer": RsaKey(), "stranger": Key()}


@pytest.fixture(scope="module")
def draft() -> Draft:
    images = {"docker.io/team/app:1": make_image([b"layer"])}
    return Draft.of(images, {"app.yaml": deployment("web", "team/app:1")})


@pytest.fixture
def folder(tmp_path: Path, keys: dict[str, Key]) -> Path:
    """The script, by its page, and the public keys."""
    found = re.search(r"```sh check-bundle\.sh\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "check-bundle.sh").write_text(found[1])
    for name, key in keys.items():
        (tmp_path / f"{name}.pub").write_bytes(key.public_pem)
    return tmp_path


def canonical(draft: Draft) -> bytes:
    """The statement as our writer lays it out."""
    return json.dumps(draft.statement(), sort_keys=True, separators=(",", ":")).encode()


def compact(envelope: bytes) -> bytes:
    return json.dumps(json.loads(envelope), sort_keys=True, separators=(",", ":")).encode()


def packed(draft: Draft, *signers: Key, payload: bytes = b"") -> bytes:
    envelope = compact(seal(payload or canonical(draft), *signers))
    return pack([segment_of(ENVELOPE, envelope), *(m.segment for m in draft.members), END])


def check(folder: Path, data: bytes, *arguments: str, signatures: str = "") -> tuple[int, str]:
    """Exit status and what the script says."""
    (folder / "bundle").write_bytes(data)
    done = subprocess.run(
        ["sh", "check-bundle.sh", "bundle", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "SIGNATURES": signatures, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["vendor", "officer"])
def test_a22_a_good_bundle_passes(
    folder: Path, draft: Draft, keys: dict[str, Key], name: str
) -> None:
    data = packed(draft, keys[name])
    code, said = check(folder, data, "1", f"{name}.pub")
    assert (code, said.splitlines()[0]) == (0, f"signed by {name}.pub"), said
    assert f"OK: {len(draft.members)} members" in said
    # It is what the tool says, too.
    verify = ("airgap-import", "verify", "bundle", "--key", f"{name}.pub")
    succeeded(run_here(folder, *verify))


def test_a22_a_bundle_of_our_writer_passes(folder: Path) -> None:
    (folder / "app.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    for scheme in ("ecdsa-p256-sha256", "rsa-pkcs1v15-sha256"):
        succeeded(run_here(folder, "airgap-bundle", "keygen", scheme, "--scheme", scheme))
        create = ("create", "app.yaml", "--name", "a", "--version", "1", "--key", f"{scheme}.key")
        succeeded(run_here(folder, "airgap-bundle", *create, "-o", f"{scheme}.tar.zst"))
        data = (folder / f"{scheme}.tar.zst").read_bytes()
        assert check(folder, data, "1", f"{scheme}.pub")[0] == 0


@pytest.mark.parametrize("together", [True, False])
def test_a22_several_signers(
    folder: Path, draft: Draft, keys: dict[str, Key], together: bool
) -> None:
    both = ("vendor.pub", "officer.pub")
    signers = [keys["vendor"], keys["officer"]]
    data = packed(draft, *(signers if together else signers[:1]))
    (folder / "officer.dsse.json").write_bytes(compact(seal(canonical(draft), keys["officer"])))
    detached = "" if together else "officer.dsse.json"
    assert check(folder, data, "2", *both, signatures=detached)[0] == 0
    if not together:
        code, said = check(folder, data, "2", *both)
        assert code == 1
        assert "signed by 1 of 2 keys" in said


def test_a22_a_key_counts_once(folder: Path, draft: Draft, keys: dict[str, Key]) -> None:
    shutil.copy(folder / "vendor.pub", folder / "again.pub")
    vendor = keys["vendor"]
    code, said = check(folder, packed(draft, vendor, vendor), "2", "vendor.pub", "again.pub")
    assert code == 1
    assert "signed by 1 of 2 keys" in said


def _extra(draft: Draft, key: Key) -> bytes:
    more = Member("application/upstream/more.yaml", b"more", "application")
    return _packed_as(draft, key, replace(draft, members=(*draft.members, more)))


def _missing(draft: Draft, key: Key) -> bytes:
    return _packed_as(draft, key, replace(draft, members=draft.members[:-1]))


def _changed(number: int) -> Callable[[Draft, Key], bytes]:
    def make(draft: Draft, key: Key) -> bytes:
        content = draft.members[number].content
        return _packed_as(draft, key, draft.changed(number, content=content[:-1] + b"\x01"))

    return make


def _link(draft: Draft, key: Key) -> bytes:
    header = header_of(draft.members[2].path, 0, b"2", linkname=b"/etc/passwd")
    segments = [member.segment for member in draft.members]
    segments[2] = header
    return pack([segment_of(ENVELOPE, compact(seal(canonical(draft), key))), *segments, END])


def _escaping(draft: Draft, key: Key) -> bytes:
    segments = [member.segment for member in draft.members]
    segments.insert(2, header_of("../escaped", 4) + padded(b"evil"))
    return pack([segment_of(ENVELOPE, compact(seal(canonical(draft), key))), *segments, END])


def _second(draft: Draft, key: Key) -> bytes:
    """A second index.json after the good one, which tar would unpack over it."""
    return _packed_as(draft, key, replace(draft, members=(*draft.members, draft.members[1])))


def _payload(draft: Draft, key: Key) -> bytes:
    envelope = compact(seal(canonical(draft), key))
    other = json.loads(seal(canonical(replace(draft, predicate={"version": "2"})), key))
    changed = json.dumps({**json.loads(envelope), "payload": other["payload"]}, sort_keys=True)
    return pack(
        [
            segment_of(ENVELOPE, compact(changed.encode())),
            *(m.segment for m in draft.members),
            END,
        ]
    )


def _kind(draft: Draft, key: Key) -> bytes:
    statement = {**draft.statement(), "predicateType": "https://slsa.dev/provenance/v1"}
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    return packed(draft, key, payload=payload)


def _packed_as(signed: Draft, key: Key, held: Draft) -> bytes:
    """What was signed for one draft, in front of the members of another."""
    envelope = compact(seal(canonical(signed), key))
    return pack([segment_of(ENVELOPE, envelope), *(m.segment for m in held.members), END])


_HOSTILE: dict[str, Callable[[Draft, Key], bytes]] = {
    "a stranger's": lambda draft, key: packed(draft, Key()),
    "unsigned": lambda draft, key: packed(draft),
    "another payload": _payload,
    "another kind of statement": _kind,
    "a member more": _extra,
    "a member less": _missing,
    "another index": _changed(1),
    "another file of the application": _changed(2),
    "another blob": _changed(-1),
    "a member twice": _second,
    "a link": _link,
    "a path that leads out": _escaping,
    "cut off": lambda draft, key: packed(draft, key)[:-2000],
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_a22_a_tampered_bundle_does_not(
    folder: Path, draft: Draft, keys: dict[str, Key], name: str
) -> None:
    data = _HOSTILE[name](draft, keys["vendor"])
    before = {path.name for path in folder.parent.iterdir()}
    code, said = check(folder, data, "1", "vendor.pub", "officer.pub")
    assert code != 0, said
    assert "OK:" not in said
    assert {path.name for path in folder.parent.iterdir()} == before


@pytest.mark.parametrize("threshold", ["0", "-1", "2"])
def test_a22_an_impossible_threshold(
    folder: Path, draft: Draft, keys: dict[str, Key], threshold: str
) -> None:
    code, said = check(folder, packed(draft, keys["vendor"]), threshold, "vendor.pub")
    assert code == 1
    assert "a threshold of" in said
