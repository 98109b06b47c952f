"""Targets on the importing machine: files others wrote or may have damaged, helpers' answers."""

from __future__ import annotations

import json
import os
import tomllib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from airgap_bundler.keptcontent import parse_kept
from airgap_importer.filetree import tree_of
from airgap_importer.mirrors.configurations import compose_configurations
from airgap_importer.mirrors.kind import Kind
from airgap_importer.mirrors.records import parse_records
from airgap_importer.overlaymarker import MARKER, STATE, check_ownership, marker_of
from airgap_importer.relocation import Target as RegistryTarget
from airgap_importer.relocation import relocate
from airgap_importer.relocationrecord import load_relocation_record
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import AirgapError
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import is_valid_repository, parse_reference
from airgap_shared.stores.authfile import AuthFile, keys_for, normal_key
from airgap_shared.stores.credentialhelper import read_answer
from fuzz.target import Target

_SECRET = "c4n4ry-s3cret"


def _feed_auth_file(data: bytes) -> None:
    try:
        found = AuthFile.parse(data, Path("config.json"))
    except AirgapError as refusal:
        assert _SECRET not in str(refusal)
        raise
    for key in found.identities:
        assert normal_key(key) == key
    for key in keys_for("reg.example:5000", "a/b/c"):
        credential = found.identities.get(key)
        if credential is not None:
            assert credential.basic.isascii()
            assert _SECRET not in repr(credential)


def _auth_files() -> Iterator[bytes]:
    auth = "cm9ib3Q6YzRuNHJ5LXMzY3JldA=="
    yield json.dumps({"auths": {"reg.example:5000": {"auth": auth}}}).encode()
    yield json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}}).encode()
    yield json.dumps(
        {
            "auths": {
                "http://reg.example:5000/v2/": {"username": "a", "password": _SECRET},
                "reg.example:5000/a": {"identitytoken": _SECRET, "auth": "PHRva2VuPjp4"},
                "b": {"registrytoken": "x"},
                "c": {},
            },
            "credHelpers": {"d": "pass"},
            "credsStore": "desktop",
        }
    ).encode()


def _feed_helper(data: bytes) -> None:
    try:
        found = read_answer(data, "docker-credential-x", "reg.example")
    except AirgapError as refusal:
        assert _SECRET not in str(refusal)
        raise
    assert found.secrets and _SECRET not in repr(found)


def _answers() -> Iterator[bytes]:
    yield json.dumps({"ServerURL": "x", "Username": "robot", "Secret": _SECRET}).encode()
    yield json.dumps({"Username": "<token>", "Secret": _SECRET}).encode()


def _feed_record(data: bytes) -> None:
    """A record that is taken leads to repositories that are names, all below the namespace."""
    target = RegistryTarget("reg.example:5000", "apps")
    with TemporaryDirectory() as folder:
        path = Path(folder, "relocation.json")
        path.write_bytes(data)
        record = load_relocation_record(path)
    images = [_image(source) for source in ("nginx:1", "a.io/b/nginx:1", "docker.io/a/c:2")]
    relocation = relocate(images, target, record.in_target(target))
    for image in relocation.images.values():
        assert is_valid_repository(image.repository), image
        assert image.repository.startswith("apps/"), image
    json.dumps(record.document_with(relocation, target)).encode()


def _image(source: str) -> BundledImage:
    reference = parse_reference(parse_reference(source).canonical)
    digest = Digest.of(source.encode())
    return BundledImage(reference, (source,), digest, mediatype.OCI_MANIFEST, digest, ())


def _records() -> Iterator[bytes]:
    target = RegistryTarget("reg.example:5000", "apps")
    relocation = relocate([_image("nginx:1"), _image("a.io/b/nginx:1")], target, {})
    former = {"name": "x.io/y", "registry": "reg.example:5000", "repository": "apps/y"}
    yield json.dumps({**relocation.to_document(), "former": [former]}).encode()
    elsewhere = {**former, "path": "apps", "repository": "elsewhere/y"}
    yield json.dumps({**relocation.to_document(), "path": "apps", "former": [elsewhere]}).encode()
    entry = {"source": "docker.io/library/nginx:1", "registry": "reg.example:5000"}
    yield json.dumps({"images": [{**entry, "repository": "apps/../x"}]}).encode()
    yield json.dumps({"images": [{**entry, "repository": "apps/n"}], "former": []}).encode()


def _feed_mirrors(data: bytes) -> None:
    """Records that are taken lead to files that their readers can read, with names alone."""
    relocation, _, coverage = data.partition(b"\n")
    records = parse_records("shop", relocation, coverage or b'{"images": []}')
    found = compose_configurations(records, [Kind.ALL])
    for path, content in found.files.items():
        text = content.decode()
        if path.endswith((".toml", ".conf")):
            tomllib.loads(text)
        elif path.endswith(".yaml"):
            assert isinstance(yaml.safe_load(text), dict), path
    conf = tomllib.loads(found.files["crio/registries.conf"].decode())
    sources = {image.source.name for image in records.images}
    assert {entry["prefix"] for entry in conf.get("registry", [])} <= sources
    assert tree_of(found.files)


def _mirrors() -> Iterator[bytes]:
    relocation = json.loads(next(_records()))
    fields = [
        {"document": "data['v']|yaml[0]", "path": ["image", "tag"], "value": "1", "whole": True},
        {"path": ["spec", 0, "url"], "value": "x/y", "whole": False},
    ]
    split = {"place": "a.yaml#Thing/a#spec", "source": "x", "target": "y", "fields": fields}
    for plain_http in (False, True):
        document = json.dumps({**relocation, "plainHttp": plain_http}).encode()
        yield document + b"\n" + json.dumps({"images": [split]}).encode()


def _feed_marker(data: bytes) -> None:
    with TemporaryDirectory() as overlay:
        Path(overlay, STATE).mkdir()
        Path(overlay, STATE, MARKER).write_bytes(data)
        folder = os.open(overlay, os.O_RDONLY | os.O_DIRECTORY)
        try:
            check_ownership(folder, Path("deploy"), "shop")
        finally:
            os.close(folder)
    assert json.loads(data)["app"] == "shop"


def _markers() -> Iterator[bytes]:
    yield marker_of("shop")
    yield marker_of("other")
    yield b'{"format":2,"tool":"airgap-import","app":"shop"}'


def _words(*words: str) -> tuple[bytes, ...]:
    return tuple(json.dumps(word).encode() for word in words)


def _feed_kept(data: bytes) -> None:
    for digest, content in parse_kept(data).items():
        digest.check(content)


def _kept() -> Iterator[bytes]:
    contents = (b"{}", b'{"schemaVersion":2}')
    yield json.dumps({str(Digest.of(one)): b64encode(one).decode() for one in contents}).encode()


TARGETS = {
    "auth-file": Target(
        _feed_auth_file,
        _auth_files,
        _words("auths", "auth", "identitytoken", "registrytoken", "credHelpers", "username"),
    ),
    "credential-helper": Target(_feed_helper, _answers, _words("Username", "Secret", "<token>")),
    "relocation-record": Target(
        _feed_record,
        _records,
        _words("images", "former", "source", "registry", "repository", "name", "apps/x"),
    ),
    "mirror-records": Target(
        _feed_mirrors,
        _mirrors,
        _words("images", "source", "reference", "plainHttp", "fields", "path", "value", "whole"),
    ),
    "kept-content": Target(_feed_kept, _kept, _words("sha256:", "sha512:", "e30=")),
    "overlay-marker": Target(_feed_marker, _markers, _words("format", "tool", "app")),
}
