"""Several signers, keys in other hands, and the same signatures for other tools."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap_shared.console.signing import SchemeChoice
from airgap_shared.trust.keys import Scheme
from support.commands import Finished, Shell
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.images import make_image, tar_layer
from support.in_process import run_here
from support.journey import Journey, refused, succeeded, tree_of

BUNDLE = "shop.tar.zst"
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
needs_cosign = pytest.mark.skipif(not shutil.which("cosign"), reason="cosign is not here")
needs_ssh_keygen = pytest.mark.skipif(
    not shutil.which("ssh-keygen"), reason="ssh-keygen is not here"
)


def bundler(folder: Path, *command: str) -> Finished:
    return run_here(folder, "airgap-bundle", *command)


def importer(folder: Path, *command: str) -> Finished:
    return run_here(folder, "airgap-import", *command)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three key pairs, one of them RSA, and a bundle that the vendor signed."""
    for name, scheme in (("vendor", Scheme.ECDSA_P256), ("officer", Scheme.RSA)):
        succeeded(bundler(tmp_path, "keygen", name, "--scheme", scheme))
    succeeded(bundler(tmp_path, "keygen", "stranger"))
    (tmp_path / "app.yaml").write_text(MANIFEST)
    succeeded(create(tmp_path, "--key", "vendor.key"))
    return tmp_path


def create(folder: Path, *options: str, output: str = BUNDLE) -> Finished:
    command = ("create", "app.yaml", "--name", "shop", "--version", "1.0.0", "-o", output)
    return bundler(folder, *command, *options)


def signer(folder: Path, key: str, name: str = "hsm") -> str:
    """A program that signs with a key which it alone has."""
    program = folder / name
    program.write_text(f"#!/bin/sh\nexec openssl dgst -sha256 -sign {key}\n")
    program.chmod(0o755)
    return f"./{name}"


def document(done: Finished) -> dict[str, Any]:
    loaded = json.loads(succeeded(done).out)
    assert isinstance(loaded, dict)
    return loaded


def test_the_names_of_schemes_are_the_same_everywhere() -> None:
    assert [choice.value for choice in SchemeChoice] == [scheme.value for scheme in Scheme]


@pytest.mark.parametrize("name", ["vendor", "officer"])
def test_either_kind_of_key_signs_a_bundle(folder: Path, name: str) -> None:
    succeeded(create(folder, "--key", f"{name}.key", output="other.tar.zst"))
    succeeded(importer(folder, "verify", "other.tar.zst", "--key", f"{name}.pub"))
    refused(
        importer(folder, "verify", "other.tar.zst", "--key", "stranger.pub"), 11, "KeyUntrusted"
    )


@needs_openssl
@pytest.mark.parametrize(
    "recipe",
    [
        ("genpkey", "-algorithm", "ed25519"),
        ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
        ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    ],
    ids=["Ed25519", "P-384", "RSA-2048"],
)
def test_other_keys_are_refused_with_what_is_accepted(
    folder: Path, recipe: tuple[str, ...]
) -> None:
    for arguments in (
        (*recipe, "-out", "k.key"),
        ("pkey", "-in", "k.key", "-pubout", "-out", "k.pub"),
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)
    (folder / "k.key").chmod(0o600)
    for done in (
        create(folder, "--key", "k.key", output="other.tar.zst"),
        importer(folder, "verify", BUNDLE, "--key", "k.pub"),
    ):
        said = refused(done, 2, "KeyFileInvalid").err
        assert "use ECDSA P-256, or RSA of 3072 to 8192 bits" in said
    assert not (folder / "other.tar.zst").exists()


class TestSign:
    """``airgap-bundle sign``."""

    def _sign(self, folder: Path, *options: str) -> Finished:
        return bundler(folder, "sign", BUNDLE, *options)

    def test_a_second_signature_beside_the_bundle(self, folder: Path) -> None:
        before = (folder / BUNDLE).read_bytes()
        done = self._sign(
            folder,
            *("--key", "officer.key", "--verify-key", "vendor.pub", "-o", "officer.dsse.json"),
        )
        for part in ("shop 1.0.0", "stable, sequence", "sha256:", "officer.dsse.json"):
            assert part in succeeded(done).out
        assert (folder / BUNDLE).read_bytes() == before
        trust = ("--key", "vendor.pub", "--key", "officer.pub", "--threshold", "2")
        refused(importer(folder, "verify", BUNDLE, *trust), 11, "SignatureThresholdNotMet")
        detached = ("--signature", "officer.dsse.json")
        shown = document(importer(folder, "verify", BUNDLE, *trust, *detached, "--format", "json"))
        assert len(shown["signers"]) == 2

    def test_says_what_is_signed(self, folder: Path) -> None:
        options = ("--key", "officer.key", "-o", "o.dsse.json", "--format", "json")
        shown = document(self._sign(folder, *options))
        inspected = document(importer(folder, "inspect", BUNDLE, "--format", "json"))
        for field in ("app", "version", "sequence", "statement", "members"):
            assert shown[field] == inspected[field]
        assert shown["verified"] == []
        said = succeeded(self._sign(folder, "--key", "officer.key", "-o", "o2.dsse.json")).out
        assert "NOBODY YOU NAMED" in said

    def test_signs_nothing_that_the_named_key_has_not(self, folder: Path) -> None:
        for others in (("stranger.pub",), ("vendor.pub", "stranger.pub")):
            trust = [part for name in others for part in ("--verify-key", name)]
            done = self._sign(folder, "--key", "officer.key", *trust, "-o", "o.dsse.json")
            refused(done, 11, "KeyUntrusted", "SignatureThresholdNotMet")
            assert not (folder / "o.dsse.json").exists()

    def test_a_third_is_added_to_the_second(self, folder: Path) -> None:
        succeeded(self._sign(folder, "--key", "officer.key", "-o", "two.dsse.json"))
        second = (folder / "two.dsse.json").read_bytes()
        succeeded(
            self._sign(
                folder,
                *("--key", "stranger.key", "--add", "two.dsse.json", "-o", "three.dsse.json"),
                *("--verify-key", "vendor.pub", "--verify-key", "officer.pub"),
            )
        )
        assert (folder / "two.dsse.json").read_bytes() == second
        trust = [
            part for name in ("vendor", "officer", "stranger") for part in ("--key", f"{name}.pub")
        ]
        three = ("--threshold", "3", "--signature", "three.dsse.json")
        succeeded(importer(folder, "verify", BUNDLE, *trust, *three))

    def test_nobody_signs_twice(self, folder: Path) -> None:
        done = self._sign(folder, "--key", "vendor.key", "-o", "o.dsse.json")
        assert "has signed this already" in refused(done, 2, "UsageError").err
        succeeded(self._sign(folder, "--key", "officer.key", "-o", "two.dsse.json"))
        again = ("--key", "officer.key", "--add", "two.dsse.json", "-o", "o.dsse.json")
        refused(self._sign(folder, *again), 2, "UsageError")
        assert not (folder / "o.dsse.json").exists()

    def test_adds_to_no_signature_of_another_bundle(self, folder: Path) -> None:
        succeeded(
            create(folder, "--key", "vendor.key", "--channel", "beta", output="other.tar.zst")
        )
        other = ("sign", "other.tar.zst", "--key", "officer.key", "-o", "other.dsse.json")
        succeeded(bundler(folder, *other))
        more = ("--key", "stranger.key", "--add", "other.dsse.json", "-o", "o.dsse.json")
        refused(self._sign(folder, *more), 11, "PayloadMismatch")

    def test_writes_over_nothing(self, folder: Path) -> None:
        before = tree_of(folder)
        for output in (BUNDLE, "vendor.pub"):
            refused(self._sign(folder, "--key", "officer.key", "-o", output), 2, "UsageError")
        assert tree_of(folder) == before


@needs_openssl
class TestSignerCommand:
    """``--signer-cmd``: the key is in other hands."""

    @pytest.mark.parametrize("name", ["vendor", "officer"])
    def test_signs_bundles_and_signatures(self, folder: Path, name: str) -> None:
        command = ("--key", f"{name}.pub", "--signer-cmd", signer(folder, f"{name}.key"))
        succeeded(create(folder, *command, output="other.tar.zst"))
        succeeded(importer(folder, "verify", "other.tar.zst", "--key", f"{name}.pub"))
        succeeded(create(folder, "--key", "stranger.key", output="third.tar.zst"))
        succeeded(bundler(folder, "sign", "third.tar.zst", *command, "-o", "o.dsse.json"))
        detached = ("--signature", "o.dsse.json")
        succeeded(importer(folder, "verify", "third.tar.zst", "--key", f"{name}.pub", *detached))

    def test_needs_the_public_key_and_no_passphrase(self, folder: Path) -> None:
        command = ("--signer-cmd", signer(folder, "vendor.key"))
        refused(create(folder, "--key", "vendor.key", *command), 2, "KeyFileInvalid")
        more = ("--key", "vendor.pub", "--passphrase-file", "app.yaml")
        refused(create(folder, *more, *command), 2, "UsageError")

    @pytest.mark.parametrize(
        ("command", "code", "name"),
        [
            ("no-such-program", 2, "SignerFailed"),
            ("sh -c 'echo no token >&2; exit 1'", 2, "SignerFailed"),
            ("./hsm", 11, "SignatureInvalid"),
            ("echo rubbish", 11, "SignatureInvalid"),
        ],
    )
    def test_k07_fails_before_layers_are_fetched(
        self,
        journey: Journey,
        source_registry: DockerRegistry,
        make_proxy: MakeProxy,
        command: str,
        code: int,
        name: str,
    ) -> None:
        proxy = make_proxy(source_registry.host)
        seen = replace(journey, source=proxy.host)
        layer = tar_layer({"file": b"content"})
        journey.push("team/app:1", make_image([layer]))
        journey.deploy("team/app:1")
        shell = Shell(journey.folder)
        succeeded(shell.run("airgap-bundle", "keygen", "other"))
        signer(journey.folder, "other.key")
        before = tree_of(journey.folder)
        done = seen.create("--key", "vendor.pub", "--signer-cmd", command)
        refused(done, code, name)
        assert not proxy.requests("GET", f"/blobs/{layer.digest}")
        assert tree_of(journey.folder) == before


class TestExport:
    """``airgap-bundle export-sigstore``."""

    @pytest.fixture
    def exported(self, folder: Path) -> Path:
        """``shop.sigstore.json`` of the vendor and ``shop.2.sigstore.json`` of the officer."""
        succeeded(bundler(folder, "sign", BUNDLE, "--key", "officer.key", "-o", "o.dsse.json"))
        both = ("--key", "vendor.pub", "--key", "officer.pub", "--threshold", "2")
        done = bundler(
            folder,
            *("export-sigstore", BUNDLE, *both, "--signature", "o.dsse.json", "-o", "shop"),
        )
        assert "shop.2.sigstore.json" in succeeded(done).out
        return folder

    def test_is_a_bundle_of_version_0_3(self, exported: Path) -> None:
        for name, file in (("vendor", "shop"), ("officer", "shop.2")):
            loaded = json.loads((exported / f"{file}.sigstore.json").read_text())
            assert set(loaded) == {"mediaType", "verificationMaterial", "dsseEnvelope"}
            assert loaded["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
            (signature,) = loaded["dsseEnvelope"]["signatures"]
            hint = loaded["verificationMaterial"]["publicKey"]["hint"]
            assert hint == signature["keyid"] == fingerprint(exported / f"{name}.pub")

    @needs_openssl
    @pytest.mark.parametrize(("name", "file"), [("vendor", "shop"), ("officer", "shop.2")])
    def test_verifies_with_openssl(self, exported: Path, name: str, file: str) -> None:
        loaded = json.loads((exported / f"{file}.sigstore.json").read_text())["dsseEnvelope"]
        payload = base64.b64decode(loaded["payload"], validate=True)
        kind = loaded["payloadType"].encode()
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        (exported / "sig").write_bytes(base64.b64decode(loaded["signatures"][0]["sig"]))
        check = ("openssl", "dgst", "-sha256", "-verify", f"{name}.pub", "-signature", "sig")
        for content, verdict in ((message, 0), (message + b" ", 1)):
            done = subprocess.run(
                check, cwd=exported, input=content, capture_output=True, check=False
            )
            assert done.returncode == verdict

    def test_holds_the_signatures_that_are_trusted(self, exported: Path) -> None:
        trusted = ("--key", "officer.pub", "--signature", "o.dsse.json")
        succeeded(bundler(exported, "export-sigstore", BUNDLE, *trusted, "-o", "one"))
        assert [path.name for path in exported.glob("one*")] == ["one.sigstore.json"]
        hint = json.loads((exported / "one.sigstore.json").read_text())["verificationMaterial"]
        assert hint["publicKey"]["hint"] == fingerprint(exported / "officer.pub")

    def test_writes_all_or_nothing(self, exported: Path) -> None:
        (exported / "new.2.sigstore.json").write_text("precious")
        before = tree_of(exported)
        both = ("--key", "vendor.pub", "--key", "officer.pub", "--signature", "o.dsse.json")
        done = bundler(exported, "export-sigstore", BUNDLE, *both, "-o", "new")
        refused(done, 2, "UsageError")
        assert tree_of(exported) == before

    def test_without_a_key_says_that_nothing_was_verified(self, exported: Path) -> None:
        done = bundler(exported, "export-sigstore", BUNDLE, "-o", "all", "--format", "json")
        assert document(done)["verified"] is False
        refused(
            bundler(exported, "export-sigstore", BUNDLE, "-o", "more", "--threshold", "2"),
            *(2, "UsageError"),
        )

    @needs_cosign
    @pytest.mark.parametrize(("name", "file"), [("vendor", "shop"), ("officer", "shop.2")])
    def test_cosign_verifies_it(self, exported: Path, name: str, file: str) -> None:
        index = member_of(exported / BUNDLE, "index.json")
        (exported / "index.json").write_bytes(index)
        path = exported / f"{file}.sigstore.json"
        assert cosign(exported, name, path)
        for wrong in ("stranger", "vendor" if name == "officer" else "officer"):
            assert not cosign(exported, wrong, path)
        (exported / "index.json").write_bytes(index + b" ")
        assert not cosign(exported, name, path)
        (exported / "index.json").write_bytes(index)
        loaded = json.loads(path.read_text())
        payload = base64.b64decode(loaded["dsseEnvelope"]["payload"]).replace(b"1.0.0", b"1.0.1")
        loaded["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        path.write_text(json.dumps(loaded))
        assert not cosign(exported, name, path)


def member_of(bundle: Path, name: str) -> bytes:
    """One member, by zstd and tar."""
    archive = subprocess.run(["zstd", "-dc", bundle], capture_output=True, check=True).stdout
    return subprocess.run(
        ["tar", "-xOf", "-", name], input=archive, capture_output=True, check=True
    ).stdout


def cosign(folder: Path, key: str, bundle: Path) -> bool:
    """Whether cosign takes a signature for the bundle's index.json."""
    done = subprocess.run(
        [
            *("cosign", "verify-blob-attestation", "--key", f"{key}.pub", "--bundle", bundle),
            *("--insecure-ignore-tlog", "--type"),
            *("https://airgap-bundle.dev/attestation/bundle/v1", "index.json"),
        ],
        cwd=folder,
        env=Shell(folder).environment,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def fingerprint(public: Path) -> str:
    """What ssh-keygen prints for a key; where it is missing, what the tool does."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")
    wire = subprocess.run(
        ["ssh-keygen", "-i", "-m", "PKCS8", "-f", public], capture_output=True, check=True
    ).stdout
    printed = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=wire, capture_output=True, check=True
    ).stdout
    return printed.decode().split()[1]


def test_inspect_shows_only_what_is_signed_when_told_by_whom(folder: Path) -> None:
    plain = succeeded(importer(folder, "inspect", BUNDLE)).out
    assert plain.startswith("NOT VERIFIED")
    assert succeeded(importer(folder, "inspect", BUNDLE, "--untrusted")).out == plain
    signed = succeeded(importer(folder, "inspect", BUNDLE, "--key", "vendor.pub")).out
    assert "NOT VERIFIED" not in signed
    assert signed.startswith("signed by SHA256:")
    assert signed.partition("\n\n")[2] == plain.partition("\n\n")[2]
    done = importer(folder, "inspect", BUNDLE, "--key", "stranger.pub")
    assert refused(done, 11, "KeyUntrusted").out == ""
    for contradiction in (
        ("--untrusted", "--key", "vendor.pub"),
        ("--threshold", "2"),
        ("--app", "shop"),
        ("--now", "2026-01-01"),
    ):
        refused(importer(folder, "inspect", BUNDLE, *contradiction), 2, "UsageError")
