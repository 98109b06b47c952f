"""Quirks: one way each in which some kind of registry differs from plain distribution.

A head quirk sees a request before its body; a manifest quirk sees a manifest that is to be stored.
Both say nothing where the request goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from urllib.parse import quote

from support.faults import Action, Answer, PassOn, Rewrite
from support.images import DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST
from support.kinds.asked import Asked, json_answer, refusal
from support.kinds.site import Site

Quirk = Callable[[Asked, Site], Action | None]
ManifestQuirk = Callable[[Asked, bytes, Site], Answer | None]

MIB = 1 << 20


def must_exist(levels: int, answer: Callable[[str], Answer], reading: bool = False) -> Quirk:
    """The first ``levels`` segments of a repository (0: all of it) must have been made before."""

    def quirk(asked: Asked, site: Site) -> Action | None:
        name = asked.levels(levels) if levels else asked.repository
        concerned = bool(asked.repository) and (asked.writes or reading)
        return answer(name) if concerned and name not in site.existing else None

    return quirk


def depth(least: int, most: int | None, answer: Callable[[str], Answer]) -> Quirk:
    """Repositories have so many segments."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        count = asked.repository.count("/") + 1
        fits = least <= count <= (most or count)
        return (
            None if fits or not asked.repository or not asked.writes else answer(asked.repository)
        )

    return quirk


def no_mount(asked: Asked, _site: Site) -> Action | None:
    """A request to mount opens an upload session, as if nothing had been asked."""
    return PassOn(asked.path) if asked.begins_upload and asked.one("mount") else None


def mount_needs_from(answer: Answer) -> Quirk:
    """``mount`` without ``from`` is an error."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        lacking = asked.begins_upload and asked.one("mount") and not asked.one("from")
        return answer if lacking else None

    return quirk


def from_needs_mount(answer: Answer) -> Quirk:
    """``from`` without ``mount`` is an error."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        lacking = asked.begins_upload and asked.one("from") and not asked.one("mount")
        return answer if lacking else None

    return quirk


def mounts_anything(asked: Asked, site: Site) -> Action | None:
    """A blob that is anywhere in the registry is mounted, whatever ``from`` says."""
    digest = asked.one("mount")
    holder = site.holder(digest) if asked.begins_upload and digest else None
    if holder is None:
        return None
    return PassOn(f"{asked.path}?mount={quote(digest)}&from={quote(holder)}")


def mounts_within(levels: int) -> Quirk:
    """Blobs are mounted between repositories that share their first segments; others are not."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        source = "/".join(asked.one("from").split("/")[:levels])
        if not asked.begins_upload or not asked.one("mount") or source == asked.levels(levels):
            return None
        return PassOn(asked.path)

    return quirk


def patch_is_a_trap(refused: Answer) -> Quirk:
    """A PATCH is answered with 201; the PUT that should end the upload is refused."""

    def quirk(asked: Asked, site: Site) -> Action | None:
        if asked.what != "uploads":
            return None
        if asked.method == "PATCH":
            site.spoilt.add(asked.name)
            return Rewrite(201)
        return refused if asked.method == "PUT" and asked.name in site.spoilt else None

    return quirk


def one_chunk_only(refused: Answer) -> Quirk:
    """A session takes one writing request with content: a PUT, or a PATCH and an empty PUT."""

    def quirk(asked: Asked, site: Site) -> Action | None:
        if asked.what != "uploads" or asked.method not in ("PATCH", "PUT") or asked.length == 0:
            return None
        if asked.name in site.spoilt:
            return refused
        if asked.method == "PATCH":
            site.spoilt.add(asked.name)
        return None

    return quirk


def patch_at_most(size: int, refused: Answer) -> Quirk:
    """A PATCH may carry so many bytes."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        chunk = asked.method == "PATCH" and asked.what == "uploads"
        return refused if chunk and (asked.length is None or asked.length > size) else None

    return quirk


def needs_length(refused: Answer) -> Quirk:
    """Content without ``Content-Length`` is not taken."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        sends = asked.method in ("PUT", "PATCH")
        return refused if sends and asked.length is None else None

    return quirk


def blobs_as(media_type: str, refused: Answer) -> Quirk:
    """Blobs are sent under one content type."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        sends = asked.what == "uploads" and asked.method in ("PUT", "PATCH") and asked.length != 0
        return refused if sends and asked.headers.get("content-type") != media_type else None

    return quirk


def body_at_most(size: int, refused: Answer) -> Quirk:
    """No request may carry more, whatever it is: so proxies before registries are set."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        return refused if asked.writes and (asked.length or 0) > size else None

    return quirk


def frozen_tags(answer: Callable[[str, str], Answer]) -> Quirk:
    """A tag that is there and immutable is not written again, not even with what it names."""

    def quirk(asked: Asked, site: Site) -> Action | None:
        if not asked.tag or not site.is_frozen(asked.repository, asked.tag):
            return None
        return answer(asked.repository, asked.tag)

    return quirk


def throttled(answer: Answer) -> Quirk:
    """Now and then a write is one too many, as the site is set."""

    def quirk(asked: Asked, site: Site) -> Action | None:
        return answer if asked.repository and asked.writes and site.refuses_now() else None

    return quirk


def content_types(allowed: Collection[str], refused: Answer) -> Quirk:
    """Manifests are taken under these content types."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        kind = asked.headers.get("content-type", "").partition(";")[0]
        return refused if asked.puts_manifest and kind not in allowed else None

    return quirk


def refuses_all(method: str, what: str, answer: Answer) -> Quirk:
    """A method that is not offered."""

    def quirk(asked: Asked, _site: Site) -> Action | None:
        return answer if (asked.method, asked.what) == (method, what) else None

    return quirk


def no_catalog(answer: Answer) -> Quirk:
    """The list of repositories is not offered."""
    return lambda asked, _site: answer if asked.path == "/v2/_catalog" else None


def counted_pulls(limit: int, window: int) -> Quirk:
    """Manifest GETs count against a limit, HEADs do not; every answer tells what is left."""

    def quirk(asked: Asked, site: Site) -> Action | None:
        if asked.what != "manifests" or asked.writes:
            return None
        if asked.method == "GET":
            site.counts["pulls"] += 1
        left = limit - site.counts["pulls"]
        headers = {
            "ratelimit-limit": f"{limit};w={window}",
            "ratelimit-remaining": f"{max(left, 0)};w={window}",
        }
        if left >= 0:
            return Rewrite(headers=headers)
        message = "You have reached your pull rate limit."
        return refusal(429, "TOOMANYREQUESTS", message, headers)

    return quirk


def lists_referrers(asked: Asked, site: Site) -> Action | None:
    """The referrers API, made from what the storage folder holds (distribution-spec)."""
    if asked.what != "referrers" or asked.method != "GET":
        return None
    found = []
    for digest in sorted(site.storage.manifests(asked.repository)):
        raw = site.storage.read_blob(digest)
        document = json.loads(raw)
        if document.get("subject", {}).get("digest") == asked.name:
            kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
            found.append(
                {
                    "mediaType": document["mediaType"],
                    "digest": digest,
                    "size": len(raw),
                    "artifactType": kind,
                }
            )
    index = "application/vnd.oci.image.index.v1+json"
    document = {"schemaVersion": 2, "mediaType": index, "manifests": found}
    return json_answer(200, document, index)


def manifest_at_most(size: int, refused: Answer) -> ManifestQuirk:
    """Larger manifests are refused."""
    return lambda _asked, raw, _site: refused if len(raw) > size else None


def wants_media_type(refused: Answer) -> ManifestQuirk:
    """An OCI manifest must say itself what it is."""

    def quirk(asked: Asked, raw: bytes, _site: Site) -> Answer | None:
        is_oci = asked.headers.get("content-type") == OCI_MANIFEST
        return refused if is_oci and "mediaType" not in json.loads(raw) else None

    return quirk


def no_docker(refused: Answer) -> ManifestQuirk:
    """Docker's own manifests and lists are refused."""

    def quirk(asked: Asked, _raw: bytes, _site: Site) -> Answer | None:
        kind = asked.headers.get("content-type")
        return refused if kind in (DOCKER_MANIFEST, DOCKER_LIST) else None

    return quirk


def images_only(refused: Answer) -> ManifestQuirk:
    """Where the site is set so, manifests whose config is no image's are refused."""

    def quirk(_asked: Asked, raw: bytes, site: Site) -> Answer | None:
        config = json.loads(raw).get("config", {}).get("mediaType")
        alien = config is not None and config not in (OCI_CONFIG, DOCKER_CONFIG)
        return refused if alien and not site.artifacts else None

    return quirk


def about(status: int, code: str, message: str) -> Callable[[str], Answer]:
    """A refusal whose message names what it is about, where it says ``{name}``."""
    return lambda name: refusal(status, code, message.replace("{name}", name))
