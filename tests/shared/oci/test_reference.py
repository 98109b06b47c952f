from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import ImageReferenceInvalid
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import (
    Reference,
    is_valid_registry,
    is_valid_repository,
    is_valid_tag,
    parse_reference,
)

HEX = "0123456789abcdef" * 4
SHA256 = f"sha256:{HEX}"
SHA512 = f"sha512:{HEX}{HEX}"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("nginx", "docker.io", "library/nginx", None),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27"),
        ("library/nginx", "docker.io", "library/nginx", None),
        ("docker.io/nginx", "docker.io", "library/nginx", None),
        ("docker.io/library/nginx:1", "docker.io", "library/nginx", "1"),
        ("index.docker.io/nginx", "docker.io", "library/nginx", None),
        ("index.docker.io/org/app:1", "docker.io", "org/app", "1"),
        ("org/app", "docker.io", "org/app", None),
        ("a/b/c/d", "docker.io", "a/b/c/d", None),
        ("quay.io/app", "quay.io", "app", None),
        ("quay.io/org/team/app:v1", "quay.io", "org/team/app", "v1"),
        ("localhost/app", "localhost", "app", None),
        ("localhost:5000/app:1", "localhost:5000", "app", "1"),
        ("registry:5000/app", "registry:5000", "app", None),
        ("quay.io", "docker.io", "library/quay.io", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
        ("registry/app", "docker.io", "registry/app", None),
        ("UPPER/app", "UPPER", "app", None),
        ("Registry.Example.COM/app", "Registry.Example.COM", "app", None),
        ("DOCKER.IO/nginx", "DOCKER.IO", "nginx", None),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app", None),
        ("[::1]/app", "[::1]", "app", None),
        ("[2001:db8::17]:5000/org/app:x", "[2001:db8::17]:5000", "org/app", "x"),
        ("my-host.example:65535/app", "my-host.example:65535", "app", None),
        ("app_one/a__b/c-d--e/f.g", "docker.io", "app_one/a__b/c-d--e/f.g", None),
        ("app:1.10", "docker.io", "library/app", "1.10"),
        ("app:_Tag.with-all_", "docker.io", "library/app", "_Tag.with-all_"),
        ("host.example/app:80", "host.example", "app", "80"),
        ("xn--bcher-kva.example/app", "xn--bcher-kva.example", "app", None),
        (f"{HEX}:tag", "docker.io", f"library/{HEX}", "tag"),
        (f"{HEX[:63]}", "docker.io", f"library/{HEX[:63]}", None),
        (f"example.com/{HEX}", "example.com", HEX, None),
    ],
)
def test_a_reference_is_read_as_container_tools_read_it(
    text: str, registry: str, repository: str, tag: str | None
) -> None:
    found = parse_reference(text)
    assert (found.registry, found.repository, found.tag) == (registry, repository, tag)
    assert found.digest is None
    assert str(found) == text


@pytest.mark.parametrize("digest", [SHA256, SHA512])
@pytest.mark.parametrize("name", ["nginx", "quay.io/org/app", "localhost:5000/app", "[::1]:1/a"])
@pytest.mark.parametrize("tag", ["", ":1.27"])
def test_a_digest_stands_beside_the_tag(name: str, tag: str, digest: str) -> None:
    found = parse_reference(f"{name}{tag}@{digest}")
    assert found.digest == Digest.parse(digest)
    assert found.tag == (tag[1:] or None)
    assert found.literal_name == name
    assert found.effective_tag == (tag[1:] or None)


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (
            ["redis", "redis:latest", "library/redis", "docker.io/redis", "index.docker.io/redis"],
            "docker.io/library/redis:latest",
        ),
        (["org/app:1", "docker.io/org/app:1"], "docker.io/org/app:1"),
        ([f"nginx@{SHA256}", f"docker.io/nginx@{SHA256}"], f"docker.io/library/nginx@{SHA256}"),
        ([f"q.io/a:1@{SHA256}"], f"q.io/a:1@{SHA256}"),
    ],
)
def test_all_spellings_have_one_canonical_text(spellings: list[str], canonical: str) -> None:
    assert {parse_reference(text).canonical for text in spellings} == {canonical}


def test_equality_looks_through_the_spelling() -> None:
    assert parse_reference("nginx:1") == parse_reference("docker.io/library/nginx:1")
    assert parse_reference("nginx:1") != parse_reference("nginx:2")


def test_names_and_the_last_segment() -> None:
    found = parse_reference("quay.io/org/team/app:1")
    assert found.name == "quay.io/org/team/app"
    assert found.last_segment == "app"
    assert Reference("docker.io", "library/nginx").literal_name == "docker.io/library/nginx"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " nginx",
        "nginx ",
        "nginx\n",
        "nginx:1\n",
        "Nginx",
        "library/Nginx",
        "quay.io/Org/app",
        "/nginx",
        "nginx/",
        "a//b",
        "quay.io/",
        "nginx:",
        "nginx:-1",
        "nginx:.1",
        "nginx:a b",
        "nginx:1:2",
        f"nginx:{'t' * 129}",
        "nginx@",
        "nginx@sha256",
        "nginx@sha256:",
        f"nginx@sha256:{HEX[1:]}",
        f"nginx@sha256:{HEX.upper()}",
        f"nginx@md5:{HEX[:32]}",
        f"nginx@{SHA256}@{SHA256}",
        f"nginx@{SHA256}:1",
        f"@{SHA256}",
        f":1@{SHA256}",
        HEX,
        "a..b",
        "a...b/c",
        "a___b",
        ".a",
        "a.",
        "-a",
        "a-",
        "_a",
        "a/_b",
        "host.example:0/app",
        "host.example:65536/app",
        "host.example:/app",
        "host.example:x/app",
        "host.example:123456/app",
        "-host.example/app",
        "host-.example/app",
        "host..example/app",
        "[::1/app",
        "::1/app",
        "[::1]app/x",
        "[fe80::1%25eth0]/app",
        "[]/app",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ImageReferenceInvalid, match="not an image reference"):
        parse_reference(text, "here")


@pytest.mark.parametrize(
    "text",
    [
        "robot:canary@host.example/app:1",
        "https://robot:canary@host.example/app",
        "robot:c@n/canary@host.example:5000/app",
        "robot:canary@host.example",
        "robot:canary@host.example/app@latest",
    ],
)
def test_a_password_in_a_name_is_not_shown(text: str) -> None:
    with pytest.raises(ImageReferenceInvalid, match=r"\*\*\*@") as caught:
        parse_reference(text)
    assert "canary" not in str(caught.value) + caught.value.what


@pytest.mark.parametrize(
    "text",
    [
        "user@host.example/app",
        "user:secret@host.example/app",
        "https://host.example/app",
        "host.example/../app",
        "host.example/./app",
        "host.example/a/%2e%2e/b",
        "host.example/%61pp",
        "host.example/app?tag=1",
        "host.example/app#fragment",
        "host.example/app\r\nHost: evil",
        "host.example\r\n/app",
        "host.example/app\x00",
        "host.example/app\t",
        "host.example\\evil/app",
        "host.example/аpp",  # a Cyrillic letter
        "exаmple.com/app",
        "host。example/app",  # an ideographic full stop
        "host.example/app:１",  # a full-width digit
        "host.example:５000/app",
        "host.example/app‮",
        "host.example/app​",
        "ﬁle/app",
        "${IMAGE}",
        "{{ .Values.image }}",
        "$(IMAGE)",
        "host.example/app;rm -rf",
        "host.example/app,b",
        "host.example/app=b",
        "host.example/*",
        "oci:host.example/app",
        "docker://host.example/app",
    ],
)
def test_text_that_would_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(ImageReferenceInvalid):
        parse_reference(text)


def test_the_refusal_says_what_and_where_and_is_bounded() -> None:
    with pytest.raises(ImageReferenceInvalid) as caught:
        parse_reference("n" * 5000 + ":" + "t" * 5000, "deploy.yaml#Deployment/web")
    assert caught.value.where == "deploy.yaml#Deployment/web"
    assert len(caught.value.what) < 700


@pytest.mark.parametrize(("length", "fits"), [(254, True), (255, True), (256, False)])
def test_a_repository_has_at_most_255_characters(length: int, fits: bool) -> None:
    assert is_valid_repository("a" * length) is fits
    if fits:
        assert parse_reference(f"quay.io/{'a' * length}").repository == "a" * length
    else:
        with pytest.raises(ImageReferenceInvalid, match="longer than 255"):
            parse_reference(f"quay.io/{'a' * length}")


def test_the_default_folder_counts_towards_the_length() -> None:
    parse_reference("a" * 247)
    with pytest.raises(ImageReferenceInvalid, match="longer than 255"):
        parse_reference("a" * 248)


@pytest.mark.parametrize(("length", "fits"), [(1, True), (128, True), (129, False), (0, False)])
def test_a_tag_has_1_to_128_characters(length: int, fits: bool) -> None:
    assert is_valid_tag("t" * length) is fits


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("host", True),
        ("host:1", True),
        ("host:65535", True),
        ("host:65536", False),
        ("host:0", False),
        ("host:00080", True),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("", False),
        ("host/path", False),
        ("host:80:80", False),
        ("ho_st", False),
        ("host\n", False),
        ("http://host", False),
    ],
)
def test_registries_are_host_and_port(text: str, valid: bool) -> None:
    assert is_valid_registry(text) is valid


LOWER = string.ascii_lowercase + string.digits
COMPONENTS = st.lists(st.text(LOWER, min_size=1, max_size=6), min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from([".", "_", "__", "-", "---"]).map(lambda s: s.join(words))
)
PATHS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
LABELS = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,5}[a-zA-Z0-9])?", fullmatch=True)
HOSTS = st.one_of(
    st.lists(LABELS, min_size=2, max_size=3).map(".".join),
    st.sampled_from(["localhost", "[::1]", "docker.io", "index.docker.io", "127.0.0.1"]),
)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
TAGS = st.one_of(st.just(""), st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
DIGESTS = st.one_of(
    st.just(""),
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda value: f"@sha256:{value}"),
    st.text("0123456789abcdef", min_size=128, max_size=128).map(lambda value: f"@sha512:{value}"),
)
NAMES = st.one_of(PATHS, st.builds(lambda h, p, path: f"{h}{p}/{path}", HOSTS, PORTS, PATHS))
TEXTS = st.builds(lambda *parts: "".join(parts), NAMES, TAGS, DIGESTS)


@given(TEXTS)
def test_what_is_in_the_grammar_is_read_and_printed_again(text: str) -> None:
    found = parse_reference(text)
    assert str(found) == text
    assert parse_reference(str(found)) == found


@given(TEXTS)
def test_the_canonical_text_is_a_fixed_point(text: str) -> None:
    found = parse_reference(text)
    again = parse_reference(found.canonical)
    assert again.canonical == found.canonical
    assert str(again) == found.canonical
    assert (again.name, again.effective_tag, again.digest) == (
        found.name,
        found.effective_tag,
        found.digest,
    )


@given(NAMES, TAGS, DIGESTS)
def test_the_literal_name_is_what_stands_before_tag_and_digest(
    name: str, tag: str, digest: str
) -> None:
    found = parse_reference(name + tag + digest)
    assert found.literal_name == name
    assert found.name == parse_reference(name).name


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_reference(text)
    except ImageReferenceInvalid:
        return
    assert text.isascii()
    assert is_valid_registry(found.registry)
    assert is_valid_repository(found.repository)
    assert parse_reference(found.canonical).name == found.name


@given(TEXTS, st.sampled_from("\n\r\t ?#%\\'\"$&;<>|`~*,=(){}\x00\x7fé"), st.integers(0, 200))
def test_a_foreign_character_anywhere_is_refused(text: str, mark: str, position: int) -> None:
    position %= len(text) + 1
    with pytest.raises(ImageReferenceInvalid):
        parse_reference(text[:position] + mark + text[position:])
