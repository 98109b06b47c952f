"""What a failure tells, whichever command it ends: what, where, what was changed, what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.hostile import Key
from support.import_site import shop_release
from support.in_process import run_here
from support.journey import refused, tree_of, write_key_pair
from support.policies import app_entry, policy_of, write_policy

_TARGET = ("--registry-endpoint", "localhost:1", "--image-namespace", "shop", "-o", "deploy")
_NOTHING, _WRITTEN = "nothing was changed", "nothing was written"
_KEPT, _NO_BUNDLE = "the policy in force was kept", "no bundle was written"
_CREATE = ("create", "app", "--name", "shop", "--version", "1", "--key", "me.key", "-o", "new")
#: The command, what is on its standard input, the error, its place, and what was changed.
_FAILURES = [
    ("inspect no.zst", "MediaReadError", "no.zst", _NOTHING),
    ("inspect empty", "BundleTruncated", "empty", _NOTHING),
    ("inspect text", "NotABundle", "text", _NOTHING),
    ("inspect -", "BundleTruncated", "standard input", _NOTHING),
    ("inspect good.zst --key no.pub", "KeyFileInvalid", "no.pub", _NOTHING),
    ("inspect good.zst --policy no.json", "PolicyInvalid", "no.json", _NOTHING),
    ("verify cut.zst --key vendor.pub", "BundleTruncated", "cut.zst", _NOTHING),
    ("verify good.zst --key text", "KeyFileInvalid", "text", _NOTHING),
    ("verify good.zst --key me.pub", "KeyUntrusted", "good.zst", _NOTHING),
    ("verify good.zst --key vendor.pub --signature no", "UsageError", "no", _NOTHING),
    ("verify good.zst --key vendor.pub --signature text", "EnvelopeInvalid", "text", _NOTHING),
    ("discover no", "UsageError", "no", _NOTHING),
    ("discover app --rules text", "ManifestSourceInvalid", "text", _NOTHING),
    ("discover app --images-file no", "UsageError", "no", _NOTHING),
    ("discover app --write-rules no/rules", "UsageError", "no/rules", _WRITTEN),
    ("keygen no/vendor", "UsageError", "no/vendor.pub", _WRITTEN),
    ("keygen new --passphrase-file no", "KeyFileInvalid", "no", _WRITTEN),
    ("sign good.zst --key no.key -o new", "KeyFileInvalid", "no.key", _WRITTEN),
    ("sign good.zst --key me.pub -o new", "KeyFileInvalid", "me.pub", _WRITTEN),
    ("sign good.zst --key me.key -o text", "UsageError", "text", _WRITTEN),
    ("sign empty --key me.key -o new", "BundleTruncated", "empty", _WRITTEN),
    ("export-sigstore text -o new", "NotABundle", "text", _WRITTEN),
    ("split empty --size 1M -o new", "BundleTruncated", "empty", _WRITTEN),
    ("split good.zst --size 1M -o no/new", "OutputNotWritable", "no/new.partial", _WRITTEN),
    ("split good.zst --size 1 -o new", "UsageError", "--size", _WRITTEN),
    (" ".join((*_CREATE, "--passphrase-file", "no")), "KeyFileInvalid", "no", _NO_BUNDLE),
    (" ".join((*_CREATE, "--previous", "text")), "NotABundle", "text", _NO_BUNDLE),
    (" ".join((*_CREATE, "--sequence=-1")), "UsageError", "--sequence", _NO_BUNDLE),
    (" ".join((*_CREATE[:-2], "-o", "no/new")), "UsageError", "no", _NO_BUNDLE),
    (" ".join((*_CREATE, "--rules", "no")), "UsageError", "no", _NO_BUNDLE),
    ("apply no.zst --key vendor.pub", "MediaReadError", "no.zst", _NOTHING),
    ("apply text --key vendor.pub", "NotABundle", "text", _NOTHING),
    ("apply good.zst --policy app", "PolicyInvalid", "app", _NOTHING),
    ("status --state-dir text", "StateCorrupt", "text", _NOTHING),
    ("audit --state-dir log", "StateCorrupt", "audit.jsonl:1", _NOTHING),
    ("mirrors no --kind csv", "OverlayNotOurs", "no", _NOTHING),
    ("logout localhost:1 --authfile text", "CredentialsInvalid", "text", _NOTHING),
    ("trust show --policy text", "PolicyInvalid", "text", _NOTHING),
    ("trust create -o new --key no --app shop", "KeyFileInvalid", "no", _WRITTEN),
    ("trust add-key text --policy policy.json", "KeyFileInvalid", "text", _NOTHING),
    ("trust sign policy.json --key no -o new", "KeyFileInvalid", "no", _WRITTEN),
    ("trust update no --policy policy.json", "UsageError", "no", _KEPT),
    ("trust update text --policy policy.json", "EnvelopeInvalid", "text", _KEPT),
]
_OF_THE_BUNDLER = ("discover", "keygen", "sign", "export-sigstore", "split", "create")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a bundle, keys, a policy, an application, and files that are none of these."""
    folder = tmp_path / "work"
    for name in ("app", "log"):
        (folder / name).mkdir(parents=True)
    key = Key()
    bundle = shop_release("1.5.2", 15).pack(key)
    (folder / "good.zst").write_bytes(bundle)
    (folder / "cut.zst").write_bytes(bundle[:-1000])
    (folder / "vendor.pub").write_bytes(key.public_pem)
    write_key_pair(folder, "me")
    write_policy(folder, policy_of([key], app_entry(key, name="shop")))
    (folder / "app" / "app.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}")
    (folder / "log" / "audit.jsonl").write_text("no entry\n")
    (folder / "empty").touch()
    (folder / "text").write_text("[hello\n")
    return folder


@pytest.mark.parametrize(("command", "name", "where", "changed"), _FAILURES, ids=str)
def test_every_failure_names_what_where_what_was_changed_and_the_next_step(
    place: Path, command: str, name: str, where: str, changed: str
) -> None:
    words = command.split()
    program = "airgap-bundle" if words[0] in _OF_THE_BUNDLER else "airgap-import"
    options = _TARGET if words[0] == "apply" else ()
    before = tree_of(place)
    done = run_here(place, program, *words, *options, "--format", "json")
    error = json.loads(done.out)["error"]
    refused(done, error["exitCode"], name)
    assert error["what"] and error["nextStep"]
    assert error["where"].endswith(where) or where in error["where"].split(": ")[0]
    assert error["changed"] == changed
    told = f"{error['what']} ({error['where']}) – {changed} – {error['nextStep']}"
    assert done.err.splitlines()[-1 - len(error["details"])] == f"error: {name}: {told}"
    assert tree_of(place) == before
