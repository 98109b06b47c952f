from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle import names
from airgap_shared.bundle.attachments import Attachment, CheckedSignature
from airgap_shared.bundle.statement import (
    BundledImage,
    Member,
    Release,
    Role,
    Statement,
    parse_statement,
)
from airgap_shared.errors import (
    AirgapError,
    FormatUnsupported,
    PredicateTypeUnsupported,
    StatementInvalid,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.attachment import AttachmentKind, cosign_tags
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.moment import format_time
from airgap_shared.oci.reference import parse_reference
from support.bundles import KEY, Attached, make_contents
from support.images import make_artifact, make_image, platform_index

Document = dict[str, Any]
Place = tuple[str | int, ...]

NGINX = make_image([b"one"])
SBOM = make_artifact(b"sbom", "application/spdx+json", NGINX)
SIGNATURE = make_image([b"signature"])
CONTENTS = make_contents(
    {
        "nginx:1.27": NGINX,
        "quay.io/org/app": platform_index("app", "linux/amd64", "linux/arm64"),
    },
    {"deploy.yaml": b"kind: Deployment\n", "more/service.yaml": b"kind: Service\n"},
    {"nginx:1.27": [Attached(SBOM, NGINX), Attached(SIGNATURE, NGINX, ".sig")]},
)
CHECKED = CheckedSignature(
    KEY.public_key.key_id, Digest.parse(NGINX.digest), Digest.parse(SIGNATURE.digest)
)
STATEMENT = replace(
    CONTENTS.statement,
    images=(
        replace(CONTENTS.statement.images[0], signed_by=(CHECKED,)),
        CONTENTS.statement.images[1],
    ),
)
GOOD: Document = json.loads(STATEMENT.to_json())

SHA256S = st.binary(min_size=32, max_size=32).map(lambda raw: Digest("sha256", raw.hex()))
DIGESTS = st.one_of(
    SHA256S,
    st.binary(min_size=64, max_size=64).map(lambda raw: Digest("sha512", raw.hex())),
)
SIZES = st.integers(0, 2**40)
LABELS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
TIMES = st.datetimes(
    datetime(1970, 1, 1),
    datetime(9999, 12, 31),
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))
PLATFORMS = st.lists(st.sampled_from(["linux/amd64", "linux/arm/v7", "windows/amd64"])).map(tuple)
WANTED = st.one_of(st.just(("all",)), PLATFORMS.filter(bool))
PERIODS = st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]).map(sorted)
RELEASES = st.builds(
    lambda app, version, channel, sequence, period, tool: Release(
        app, version, channel, sequence, period[0], period[1], tool
    ),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    LABELS,
    LABELS,
    st.integers(0, 2**63 - 1),
    PERIODS,
    LABELS,
)
SOURCES = st.from_regex(
    r"[a-z]{1,5}\.io/[a-z]{1,5}(:[a-z]{1,5}|@sha256:[0-9a-f]{64})", fullmatch=True
)


def checked_signatures(upstream: Digest) -> st.SearchStrategy[CheckedSignature]:
    """Any signature of an image that was checked."""
    keys = st.from_regex(r"SHA256:[A-Za-z0-9+/]{43}", fullmatch=True)
    return st.builds(CheckedSignature, keys, st.just(upstream), DIGESTS)


@st.composite
def attachments(
    draw: st.DrawFn, manifests: list[Member], with_tags: bool
) -> tuple[Attachment, ...]:
    """Any attachments that are right as far as it can be told without the manifests.

    Each has a subject of its own, so that no tag stands twice.
    """
    found = []
    for subject in draw(st.lists(DIGESTS, max_size=3, unique=True)):
        root = draw(st.sampled_from(manifests))
        tags: dict[str | None, AttachmentKind] = {None: draw(st.sampled_from(AttachmentKind))}
        tags.update(cosign_tags(subject).items() if with_tags else ())
        tag = draw(st.sampled_from(list(tags)))
        found.append(Attachment(root.digest, str(root.media_type), subject, tag, tags[tag]))
    return tuple(found)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Any statement that the specification allows."""
    index = Digest.of(draw(st.binary(max_size=4)))
    members = [
        Member(names.LAYOUT, draw(SIZES), draw(DIGESTS), Role.LAYOUT),
        Member(names.INDEX, draw(SIZES), index, Role.INDEX),
    ]
    if draw(st.booleans()):
        members.append(Member(names.INVENTORY, draw(SIZES), draw(DIGESTS), Role.INVENTORY))
    paths = st.from_regex(r"[a-z]{1,2}[0-9](/[a-z]{1,2}[0-9]){0,3}", fullmatch=True)
    several = st.lists(paths, max_size=3, unique=True)
    for path in draw(several.filter(lambda found: names.conflicting_path(found) is None)):
        members.append(
            Member(names.APPLICATION + path, draw(SIZES), draw(DIGESTS), Role.APPLICATION)
        )
    blob_digests = draw(st.lists(DIGESTS, max_size=3, unique=True))
    manifest_digests = draw(
        st.lists(SHA256S.filter(lambda one: one not in blob_digests), max_size=3, unique=True)
    )
    kinds = st.sampled_from(sorted(mediatype.MANIFESTS | mediatype.INDEXES))
    manifests = [
        Member(names.blob_path(digest), draw(SIZES), digest, Role.MANIFEST, draw(kinds))
        for digest in manifest_digests
    ]
    blobs = [Member(names.blob_path(d), draw(SIZES), d, Role.BLOB) for d in blob_digests]
    images: list[BundledImage] = []
    for source in draw(st.lists(SOURCES, max_size=3, unique=True)) if manifests else []:
        root = draw(st.sampled_from(manifests))
        reference = parse_reference(source)
        upstream = reference.digest or draw(DIGESTS)
        images.append(
            BundledImage(
                reference,
                (source,),
                root.digest,
                str(root.media_type),
                upstream,
                draw(PLATFORMS),
                draw(attachments(manifests, with_tags=not images)),
                draw(st.lists(checked_signatures(upstream), max_size=2).map(tuple)),
            )
        )
    return Statement(draw(RELEASES), draw(WANTED), (*members, *manifests, *blobs), tuple(images))


@given(statements())
def test_a_statement_is_written_and_read(statement: Statement) -> None:
    raw = statement.to_json()
    found = parse_statement(raw)
    assert found == statement
    assert found.to_json() == raw
    raw.decode("ascii")
    assert raw == json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode()


def test_the_statement_is_an_in_toto_statement_about_the_index() -> None:
    assert set(GOOD) == {"_type", "subject", "predicateType", "predicate"}
    index = next(member for member in STATEMENT.members if member.path == "index.json")
    assert GOOD["subject"] == [{"name": "index.json", "digest": {"sha256": index.digest.hex}}]
    assert GOOD["predicate"]["totals"] == {
        "members": len(STATEMENT.members),
        "bytes": sum(member.size for member in STATEMENT.members),
    }
    assert GOOD["predicate"]["base"] is None
    assert GOOD["predicate"]["critical"] == []


@given(st.data())
def test_unknown_fields_are_ignored(data: st.DataObject) -> None:
    document = copy.deepcopy(GOOD)
    # A digest set maps algorithms to text, known or not.
    records = [record for place, record in objects(document) if place[-1:] != ("digest",)]
    data.draw(st.sampled_from(records))["x-unknown"] = data.draw(
        st.sampled_from([None, 1.5, "text", [{}], {"a": {"b": []}}])
    )
    assert parse_statement(encoded(document)) == STATEMENT


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def objects(value: object, place: Place = ()) -> Iterator[tuple[Place, Document]]:
    """Every JSON object in a document and where it stands."""
    if isinstance(value, dict):
        yield place, value
        for key, item in value.items():
            yield from objects(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from objects(item, (*place, number))


def at(document: Document, place: Place) -> Any:  # noqa: ANN401 - JSON
    found: Any = document
    for step in place:
        found = found[step]
    return found


def written(place: Place) -> str:
    """A place as an error names it."""
    text = "signed statement"
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text


def refusal(document: object) -> StatementInvalid:
    with pytest.raises(StatementInvalid) as caught:
        parse_statement(document if isinstance(document, bytes) else encoded(document))
    assert caught.value.exit_code == 11
    return caught.value


#: One object of each kind, and every field of it.
FIELDS = [
    (*place, key)
    for place, record in objects(GOOD)
    if 0 not in place[2:] or place[-1] == 0
    for key in record
    if not {2, 3, 4, 5, 6, 7, 8, 9, 10}.intersection(place)
]


def test_the_fields_that_are_tried_are_all_there_are() -> None:
    names_of_fields = {str(place[-1]) for place in FIELDS}
    assert names_of_fields >= {
        *("_type", "subject", "digest", "sha256", "predicateType", "predicate"),
        *("format", "critical", "base", "app", "version", "channel", "sequence", "created"),
        *("expires", "tool", "platforms", "members", "images", "totals", "bytes"),
        *("path", "size", "role", "source", "literals", "root", "mediaType", "upstream"),
        *("attached", "signedBy", "subject", "tag", "kind", "key", "signature"),
    }


@pytest.mark.parametrize("place", FIELDS, ids=written)
def test_a_field_that_is_missing_is_refused_where_it_should_be(place: Place) -> None:
    document = copy.deepcopy(GOOD)
    del at(document, place[:-1])[place[-1]]
    problem = refusal(document)
    assert problem.where
    if "digest" not in place or "members" in place:
        assert problem.where == written(place)


WRONG: dict[type, list[object]] = {
    str: [None, 1, True, [], {}, "", " ", "\n", "\ud800"],
    int: [None, "1", True, 1.0, 1.5, -1, 2**63, [], {}],
    list: [None, "x", 1, {}, [1], [None], [[]], ["\x00"]],
    dict: [None, "x", 1, [], [{}]],
    type(None): [0, False, "", [], {}, "sha256:x"],
}


@pytest.mark.parametrize(
    ("place", "value"),
    [(place, value) for place in FIELDS for value in WRONG[type(at(GOOD, place))]],
    ids=repr,
)
def test_a_field_of_another_type_is_refused(place: Place, value: object) -> None:
    document = copy.deepcopy(GOOD)
    at(document, place[:-1])[place[-1]] = value
    lenient = place[-1] in ("predicateType", "format", "critical", "base")
    problem = refused(document) if lenient else refusal(document)
    assert problem.where or isinstance(problem, PredicateTypeUnsupported)


def refused(document: Document) -> AirgapError:
    kinds = (StatementInvalid, PredicateTypeUnsupported, FormatUnsupported)
    with pytest.raises(kinds) as caught:
        parse_statement(encoded(document))
    return caught.value


def unsupported(document: Document) -> FormatUnsupported:
    with pytest.raises(FormatUnsupported) as caught:
        parse_statement(encoded(document))
    assert caught.value.exit_code == 10
    return caught.value


@pytest.mark.parametrize("place", FIELDS, ids=written)
def test_a_field_that_stands_twice_is_refused(place: Place) -> None:
    document = copy.deepcopy(GOOD)
    record = at(document, place[:-1])
    record["TWICE"] = record[place[-1]]
    raw = encoded(document).replace(b'"TWICE":', f'"{place[-1]}":'.encode())
    assert "stands twice" in refusal(raw).what


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b"\xff", b"{}", b'{"_type": NaN}', b"[" * 100, encoded(GOOD) + b"x"],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    refusal(raw)


def changed(change: Callable[[Document], object]) -> Document:
    document = copy.deepcopy(GOOD)
    change(document["predicate"])
    return document


def count(predicate: Document) -> None:
    """Make the totals right again, so that only the change itself can be at fault."""
    members = predicate["members"]
    size = sum(member["size"] for member in members)
    predicate["totals"] = {"members": len(members), "bytes": size}


@pytest.mark.parametrize("version", [0, 2, 2**62])
def test_another_format_is_refused_with_what_to_do(version: int) -> None:
    problem = unsupported(changed(lambda p: p.update(format=version)))
    assert "newer airgap-import" in problem.next_step


@pytest.mark.parametrize("change", [{"critical": ["zstd-recipe"]}, {"base": "sha256:0"}])
def test_extensions_that_must_be_understood_are_refused(change: Document) -> None:
    problem = unsupported(changed(lambda p: p.update(change)))
    assert "features unknown here" in problem.what
    assert "newer airgap-import" in problem.next_step


def test_a_statement_about_something_else_has_a_name_of_its_own() -> None:
    document = {**GOOD, "predicateType": "https://slsa.dev/provenance/v1"}
    with pytest.raises(PredicateTypeUnsupported, match=r"slsa\.dev"):
        parse_statement(encoded(document))
    assert refusal({**GOOD, "_type": "https://in-toto.io/Statement/v0.1"}).where.endswith("_type")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("app", "Shop"),
        ("app", "a" * 64),
        ("version", " 1"),
        ("version", "v" * 129),
        ("channel", "\x1b[2J"),
        ("tool", "werkzeug ü"),
        ("created", "2026-01-01"),
        ("created", "2026-01-01T00:00:00"),
        ("created", "2026-01-01T00:00:00+00:00"),
        ("created", "2026-01-01T00:00:00.5Z"),
        ("created", "2026-01-01t00:00:00z"),
        ("created", "2026-02-30T00:00:00Z"),
        ("created", "2026-01-01T23:59:60Z"),
        ("created", "0000-01-01T00:00:00Z"),
        ("created", "２026-01-01T00:00:00Z"),
        ("expires", "2026-13-01T00:00:00Z"),
        ("expires", "2026-01-01T00:00:00Z\n"),
        ("expires", GOOD["predicate"]["created"]),
        ("expires", "1999-01-01T00:00:00Z"),
        ("platforms", []),
        ("platforms", ["linux"]),
        ("platforms", ["rm -rf /"]),
        ("platforms", ["linux/amd64", "all"]),
        ("platforms", ["all", "all"]),
    ],
)
def test_a_value_out_of_its_grammar_is_refused_in_its_place(key: str, value: object) -> None:
    assert refusal(changed(lambda p: p.update({key: value}))).where.endswith(f"predicate.{key}")


def swap(one: int, other: int) -> Callable[[Document], None]:
    def change(predicate: Document) -> None:
        members = predicate["members"]
        members[one], members[other] = members[other], members[one]

    return change


def first(predicate: Document, role: str) -> Document:
    return next(member for member in predicate["members"] if member["role"] == role)


def application(path: str) -> Document:
    """A file of the application with this path."""
    return {**first(GOOD["predicate"], "application"), "path": f"application/upstream/{path}"}


LAST = len(STATEMENT.members) - 1
SHA512: Document = {"digest": f"sha512:{'0' * 128}", "path": f"blobs/sha512/{'0' * 128}"}


@pytest.mark.parametrize(
    "change",
    [
        swap(0, 1),
        swap(1, 2),
        swap(2, LAST),
        swap(LAST - 10, LAST),
        lambda p: p["members"].pop(0),
        lambda p: p["members"].insert(1, p["members"][0]),
        lambda p: p["members"].insert(2, {**p["members"][1], "path": "index2.json"}),
        lambda p: p["members"].append(first(p, "blob")),
        lambda p: p["members"].append(first(p, "application")),
        lambda p: p["members"].insert(2, application("Deploy.YAML")),
        lambda p: p["members"].insert(2, application("more")),
        lambda p: p["members"].insert(2, application("deploy.yaml/inside")),
        lambda p: p["members"].clear(),
    ],
)
def test_members_have_an_order_and_stand_once(change: Callable[[Document], object]) -> None:
    document = changed(change)
    count(document["predicate"])
    assert refusal(document).where.startswith("signed statement.predicate.members")


@pytest.mark.parametrize(
    ("role", "change"),
    [
        ("layout", {"path": "oci-layout2"}),
        ("index", {"path": "./index.json"}),
        ("index", {"digest": f"sha512:{'0' * 128}"}),
        ("application", {"path": "application/upstream/../x"}),
        ("application", {"path": "application/upstream/"}),
        ("application", {"path": "application/upstream//x"}),
        ("application", {"path": "application/inventory.json"}),
        ("application", {"path": "/etc/passwd"}),
        ("application", {"path": "application/upstream/.git"}),
        ("application", {"path": "blobs/sha256/x"}),
        ("application", {"mediaType": "text/plain"}),
        ("manifest", {"path": f"blobs/sha256/{'0' * 64}"}),
        ("manifest", {"digest": f"sha256:{'0' * 64}"}),
        ("manifest", {"mediaType": None}),
        ("manifest", SHA512),
        ("blob", {"path": f"blobs/sha256/{'0' * 64}"}),
        ("blob", {"path": f"blobs/sha256/{'0' * 64}/.."}),
        ("blob", {"digest": "md5:0"}),
        ("blob", {"mediaType": "application/x"}),
        ("blob", {"mediaType": None}),
        ("layout", {"mediaType": None}),
        ("blob", {"role": "signature"}),
        ("blob", {"role": "BLOB"}),
    ],
)
def test_a_member_is_what_its_role_says(role: str, change: Document) -> None:
    document = changed(lambda p: first(p, role).update(change))
    assert ".members[" in refusal(document).where


@pytest.mark.parametrize(
    "change",
    [
        {"source": "nginx:1.27"},
        {"source": "docker.io/nginx:1.27"},
        {"source": "docker.io/library/nginx"},
        {"source": "docker.io/library/Nginx:1.27"},
        {"source": "docker.io/library/nginx:1.28"},
        {"literals": ["nginx"]},
        {"literals": ["nginx:1.27", "redis:7"]},
        {"literals": ["no image!"]},
        {"literals": []},
        {"literals": ["nginx:1.27", "nginx:1.27"]},
        {"platforms": ["\x1b[31m"]},
        {"platforms": ["all"]},
        {"root": f"sha256:{'0' * 64}"},
        {"root": "sha256:0"},
        {"mediaType": mediatype.DOCKER_MANIFEST},
        {"upstream": "latest"},
    ],
)
def test_an_image_is_written_in_full_and_in_the_bundle(change: Document) -> None:
    document = changed(lambda p: p["images"][0].update(change))
    assert ".images[0]" in refusal(document).where


def test_an_image_with_a_digest_was_named_by_it() -> None:
    def pin(predicate: Document) -> None:
        image = predicate["images"][0]
        pinned = f"docker.io/library/nginx@{image['upstream']}"
        image.update(source=pinned, literals=[pinned])

    parse_statement(encoded(changed(pin)))
    document = changed(pin)
    document["predicate"]["images"][0].update(upstream=f"sha256:{'0' * 64}", signedBy=[])
    assert refusal(document).where.endswith(".images[0].upstream")


SIGNED = STATEMENT.images[0].attached[1]


def attached(change: Document) -> Document:
    """The statement with the signature of its first image changed."""
    return changed(lambda p: p["images"][0]["attached"][1].update(change))


@pytest.mark.parametrize(
    "change",
    [
        {"tag": f"sha256-{'0' * 64}.sig"},
        {"tag": f"sha256-{SIGNED.subject.hex}"},
        {"tag": f"sha256-{SIGNED.subject.hex}.att"},
        {"tag": f"sha256-{SIGNED.subject.hex}.SIG"},
        {"tag": f"sha256-{SIGNED.subject.hex.upper()}.sig"},
        {"tag": f"sha512-{SIGNED.subject.hex}.sig"},
        {"tag": f"airgap-{SIGNED.subject.hex}"},
        {"tag": "1.27"},
        {"tag": "shop_stable"},
        {"tag": ""},
        {"kind": "sbom"},
        {"kind": "other"},
        {"kind": "Signature"},
        {"subject": f"sha256:{'0' * 64}"},
        {"subject": f"sha512:{SIGNED.subject.hex * 2}"},
        {"root": f"sha256:{'0' * 64}"},
        {"mediaType": mediatype.OCI_INDEX},
    ],
    ids=repr,
)
def test_an_attachment_has_the_tag_of_its_subject_and_is_in_the_bundle(change: Document) -> None:
    assert ".images[0]" in refusal(attached(change)).where


def test_an_attachment_without_a_tag_may_be_of_any_kind() -> None:
    for kind in AttachmentKind:
        parse_statement(encoded(attached({"tag": None, "kind": kind.value})))


def test_the_same_attachment_stands_once_and_in_a_bounded_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def twice(predicate: Document) -> None:
        predicate["images"][0]["attached"] *= 2

    assert refusal(changed(twice)).where.endswith(".images[0].attached")
    monkeypatch.setattr(names, "ATTACHED_LIMIT", 2)
    parse_statement(encoded(GOOD))
    monkeypatch.setattr(names, "ATTACHED_LIMIT", 1)
    assert "2 attachments, over 1" in refusal(GOOD).what


def beside(change: Document, **entry: object) -> Callable[[Document], None]:
    """Another image, with the signature of the first one, or another under the same tag."""

    def add(predicate: Document) -> None:
        image = copy.deepcopy(predicate["images"][0])
        image["attached"] = [{**image["attached"][1], **entry}]
        image.update(change)
        predicate["images"].append(image)

    return add


def test_a_tag_of_an_attachment_stands_for_one_thing_in_a_repository() -> None:
    other = {"source": "docker.io/library/nginx:2", "literals": ["nginx:2"]}
    elsewhere = {"source": "quay.io/nginx:2", "literals": ["quay.io/nginx:2"]}
    image = STATEMENT.images[0]
    different: Document = {"root": str(image.root), "mediaType": image.media_type}
    parse_statement(encoded(changed(beside(other))))
    parse_statement(encoded(changed(beside(elsewhere, **different))))
    problem = refusal(changed(beside(other, **different)))
    assert problem.where.endswith(".images[2].attached")


def test_a_tag_of_an_attachment_is_never_that_of_an_image() -> None:
    name = f"docker.io/library/nginx:{SIGNED.tag}"
    document = changed(beside({"source": name, "literals": [name], "attached": []}))
    assert refusal(document).where.endswith(".images[0].attached")


@pytest.mark.parametrize(
    "change",
    [
        {"digest": f"sha256:{'0' * 64}"},
        {"signature": "latest"},
        {"key": "SHA256:short"},
        {"key": f"MD5:{'A' * 43}"},
        {"key": f"SHA256:{'A' * 42}\n"},
    ],
    ids=repr,
)
def test_a_checked_signature_is_of_the_image_and_of_a_key(change: Document) -> None:
    document = changed(lambda p: p["images"][0]["signedBy"][0].update(change))
    assert ".images[0].signedBy" in refusal(document).where


def test_an_image_stands_once() -> None:
    document = changed(lambda p: p["images"].append(p["images"][0]))
    assert refusal(document).where.endswith("predicate.images")


@pytest.mark.parametrize("key", ["members", "bytes"])
@pytest.mark.parametrize("more", [-1, 1])
def test_the_totals_must_be_right(key: str, more: int) -> None:
    document = copy.deepcopy(GOOD)
    document["predicate"]["totals"][key] += more
    assert refusal(document).where.endswith("totals")


@pytest.mark.parametrize(
    "subject",
    [
        [],
        [GOOD["subject"][0], GOOD["subject"][0]],
        [{"name": "index.json", "digest": {}}],
        [{**GOOD["subject"][0], "name": "other"}],
        [{"name": "index.json", "digest": {"sha256": "0" * 64}}],
        [{"name": "index.json", "digest": {"sha512": GOOD["subject"][0]["digest"]["sha256"]}}],
    ],
)
def test_the_subject_is_the_index_alone(subject: list[Document]) -> None:
    assert refusal({**GOOD, "subject": subject}).where == "signed statement.subject"


def test_the_number_of_members_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MEMBER_LIMIT", len(STATEMENT.members))
    parse_statement(encoded(GOOD))
    monkeypatch.setattr(names, "MEMBER_LIMIT", len(STATEMENT.members) - 1)
    assert "over" in refusal(GOOD).what


def test_times_are_written_in_utc_with_whole_seconds() -> None:
    moment = datetime(2026, 1, 1, 1, 30, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2025-12-31T23:30:05Z"


@given(st.binary(max_size=30), st.integers(0, 10_000))
def test_a_damaged_statement_never_fails_in_another_way(junk: bytes, position: int) -> None:
    raw = STATEMENT.to_json()
    position %= len(raw)
    try:
        parse_statement(raw[:position] + junk + raw[position + len(junk) :])
    except AirgapError as problem:
        assert problem.exit_code == 11
