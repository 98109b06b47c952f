from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import CredentialsInvalid, OutputNotWritable
from airgap_shared.stores.authfile import (
    AuthFile,
    keys_for,
    normal_key,
    read_auth_file,
    remove_credential,
    store_credential,
)
from airgap_shared.stores.credential import Credential

ROBOT = Credential("robot", "s3cret:word")
ENTRY = {"auth": ROBOT.basic}


def parsed(document: object) -> AuthFile:
    return AuthFile.parse(json.dumps(document).encode(), Path("auth.json"))


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("reg.example", "reg.example"),
        ("REG.example:5000", "reg.example:5000"),
        ("https://reg.example", "reg.example"),
        ("http://reg.example/", "reg.example"),
        ("https://reg.example/v1/", "reg.example"),
        ("https://reg.example:5000/v2/", "reg.example:5000"),
        ("reg.example/v2", "reg.example"),
        ("reg.example/team/app", "reg.example/team/app"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io/library", "docker.io/library"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_keys_in_all_spellings(key: str, normal: str) -> None:
    assert normal_key(key) == normal
    assert normal_key(normal) == normal
    assert parsed({"auths": {key: ENTRY}}).identities == {normal: ROBOT}


def test_the_most_specific_key_comes_first() -> None:
    assert list(keys_for("reg.example", "a/b")) == [
        "reg.example/a/b",
        "reg.example/a",
        "reg.example",
    ]
    assert list(keys_for("index.docker.io", "")) == ["docker.io"]


@pytest.mark.parametrize("turned", [False, True])
def test_an_exact_key_comes_before_another_spelling(turned: bool) -> None:
    entries = [("reg.example", ENTRY), ("https://reg.example/v1/", {"auth": "eDp5"})]
    assert parsed({"auths": dict(entries[::-1] if turned else entries)}).identities == {
        "reg.example": ROBOT
    }


@pytest.mark.parametrize(
    ("entry", "credential"),
    [
        (ENTRY, ROBOT),
        ({"auth": base64.b64encode(b"robot:s3cret:word\0\0").decode()}, ROBOT),
        (
            {"auth": base64.b64encode(b'_json_key:{\n "a": 1\n}').decode()},
            Credential("_json_key", '{\n "a": 1\n}'),
        ),
        ({"username": "robot", "password": "s3cret:word"}, ROBOT),
        (
            {"auth": base64.b64encode(b"0000:").decode(), "identitytoken": "refresh"},
            Credential("0000", "", "refresh"),
        ),
        ({"identitytoken": "refresh"}, Credential(identity_token="refresh")),
        (
            {"auth": base64.b64encode(b"<token>:refresh").decode()},
            Credential(identity_token="refresh"),
        ),
        ({"registrytoken": "bearer"}, Credential(registry_token="bearer")),
        ({"auth": "", "username": "", "email": "x@y"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_identities_in_all_spellings(entry: object, credential: Credential | None) -> None:
    found = parsed({"auths": {"reg.example": entry}}).identities.get("reg.example")
    assert found == credential


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "{",
        '{"auths": []}',
        '{"auths": {"h": "x"}}',
        '{"auths": {"h": {"auth": "not base64 c2VjcmV0"}}}',
        '{"auths": {"h": {"auth": "c2VjcmV0"}}}',
        '{"auths": {"h": {"auth": "//79"}}}',
        '{"auths": {"h": {"auth": 5}}}',
        '{"auths": {"h": {}, "h": {}}}',
        '{"credHelpers": {"h": 1}}',
        '{"credsStore": 1}',
    ],
)
def test_what_is_no_auth_file_is_named_without_its_content(document: str) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        AuthFile.parse(document.encode(), Path("/home/x/auth.json"))
    assert "/home/x/auth.json" in caught.value.where
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_auth_file_or_refused(raw: bytes) -> None:
    try:
        AuthFile.parse(raw, Path("auth.json"))
    except CredentialsInvalid:
        return


@given(st.text(min_size=1), st.text())
def test_any_user_and_password_come_back(user: str, password: str) -> None:
    written = Credential(user.replace(":", "."), password.rstrip("\0"))
    try:
        entry = {"auth": written.basic}
    except UnicodeEncodeError:
        return
    if written.username in ("<token>",):
        return
    assert parsed({"auths": {"h": entry}}).identities["h"] == written


def test_files_that_are_absent_or_unreadable(tmp_path: Path) -> None:
    assert read_auth_file(tmp_path / "absent.json") is None
    with pytest.raises(CredentialsInvalid, match="Is a directory"):
        read_auth_file(tmp_path)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(CredentialsInvalid, match="over 1 MiB"):
        read_auth_file(large)


def test_a_pipe_is_read_to_its_end_and_not_waited_for_where_nobody_writes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    os.mkfifo(path)
    with pytest.raises(CredentialsInvalid):
        read_auth_file(path)
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as file:
            file.write(b'{"auths": {"reg.example": {"registrytoken": "bearer"}}}')
        found = read_auth_file(Path(f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
    assert found is not None
    assert found.identities == {"reg.example": Credential(registry_token="bearer")}


@pytest.mark.parametrize(
    "credential",
    [
        ROBOT,
        Credential("0000", "", "refresh"),
        Credential(registry_token="bearer"),
    ],
)
def test_what_is_stored_is_found(tmp_path: Path, credential: Credential) -> None:
    path = tmp_path / "new" / "config.json"
    store_credential(path, "reg.example:5000", credential)
    file = read_auth_file(path)
    assert file is not None
    assert file.identities == {"reg.example:5000": credential}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_storing_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    before = {
        "HttpHeaders": {"X": "ü"},
        "auths": {"other.example": {"auth": "eDp5"}, "https://reg.example/v1/": {"auth": "eDp6"}},
        "credsStore": "desktop",
    }
    path.write_text(json.dumps(before))
    path.chmod(0o644)
    store_credential(path, "reg.example", ROBOT)
    assert json.loads(path.read_text()) == {
        **before,
        "auths": {"other.example": {"auth": "eDp5"}, "reg.example": ENTRY},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_docker_hub_is_stored_as_docker_does(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    store_credential(path, "docker.io", ROBOT)
    assert list(json.loads(path.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    assert remove_credential(path, "index.docker.io")
    assert json.loads(path.read_text())["auths"] == {}


def test_removing_takes_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    auths = {"reg.example": ENTRY, "https://reg.example": ENTRY, "reg.example/team": ENTRY}
    path.write_text(json.dumps({"auths": auths, "x": 1}))
    assert remove_credential(path, "REG.example")
    assert json.loads(path.read_text()) == {"auths": {"reg.example/team": ENTRY}, "x": 1}
    assert not remove_credential(path, "reg.example")
    assert not remove_credential(tmp_path / "absent", "reg.example")


def test_a_link_keeps_pointing_at_its_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("{}")
    link.symlink_to(real)
    store_credential(link, "reg.example", ROBOT)
    assert link.is_symlink()
    assert "reg.example" in real.read_text()


def test_what_a_helper_keeps_is_not_stored_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"credHelpers": {"reg.example": "ecr-login"}}')
    with pytest.raises(CredentialsInvalid, match="docker-credential-ecr-login"):
        store_credential(path, "reg.example", ROBOT)
    assert path.read_text() == '{"credHelpers": {"reg.example": "ecr-login"}}'


def test_a_file_that_is_no_auth_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("not JSON")
    with pytest.raises(CredentialsInvalid):
        store_credential(path, "reg.example", ROBOT)
    assert path.read_text() == "not JSON"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputNotWritable):
        store_credential(tmp_path / "file" / "config.json", "reg.example", ROBOT)


def test_secrets_are_not_shown() -> None:
    shown = repr(Credential("robot", "hunter2", "hunter3", "hunter4"))
    assert "robot" in shown
    assert "hunter" not in shown


@pytest.mark.parametrize(
    "entry",
    [
        {"registrytoken": "canary\n"},
        {"registrytoken": "ü-canary"},
        {"username": "a:canary", "password": "x"},
        {"username": "a\ncanary", "password": "x"},
    ],
)
def test_what_no_request_can_carry_is_told_by_its_place(entry: dict[str, str]) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        parsed({"auths": {"reg.example": entry}})
    assert caught.value.where.startswith("auth.json")
    assert "reg.example" in caught.value.where
    assert "canary" not in str(caught.value)
