"""Lists of referrers under a tag, for registries that keep none (distribution-spec 1.1).

Such a list is an image index whose entries are the manifests that have one subject. It belongs to
everybody who pushes: what others entered, and the fields they added, stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from airgap_shared.errors import DuplicateJSONKey, LimitExceeded, ReferrersTagConflict
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.manifest import MANIFEST_LIMIT, MANIFEST_VALUE_LIMIT, Index, Manifest

_EMPTY: Mapping[str, object] = {
    "schemaVersion": 2,
    "mediaType": mediatype.OCI_INDEX,
    "manifests": [],
}
_NEXT_STEP = (
    "see who uses this tag for something else, and move it; clients look there for the "
    "referrers (signatures, SBOMs) of the digest it spells"
)


def referrers_tag(subject: Digest) -> str:
    """The tag of the list for a subject (distribution-spec, Referrers Tag Schema)."""
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


@dataclass(frozen=True, slots=True)
class ReferrersList:
    """A list as it is under its tag; ``where`` names the tag in errors."""

    document: Mapping[str, object]
    where: str

    @classmethod
    def empty(cls, where: str) -> Self:
        """The list that a tag which does not exist stands for."""
        return cls(_EMPTY, where)

    @classmethod
    def parse(cls, raw: bytes, media_type: str, where: str) -> Self:
        """Read what a registry returned under the tag, announced as ``media_type``.

        The descriptors of others are not judged: they are only carried on.

        Raises:
            ReferrersTagConflict: it is no OCI image index.

        """
        kind = media_type.partition(";")[0].strip()
        if kind in (mediatype.MANIFESTS | mediatype.INDEXES) - {mediatype.OCI_INDEX}:
            raise _conflict(f"it names a manifest of type {kind}", where)
        try:
            document = parse_json(raw, where, ReferrersTagConflict, values=MANIFEST_VALUE_LIMIT)
            fields = Fields(document, where, ReferrersTagConflict)
            _check(fields)
            # What cannot be written again as it was read (1e999) cannot be carried on.
            json.dumps(fields.mapping, allow_nan=False)
        except (DuplicateJSONKey, LimitExceeded, ReferrersTagConflict) as problem:
            raise _conflict(problem.what, where) from problem
        except ValueError as problem:
            raise _conflict("a number in it is out of range", where) from problem
        return cls(fields.mapping, where)

    def digests(self) -> tuple[Digest, ...]:
        """What is listed, in order.

        Raises:
            DigestUnsupported: an entry has no digest.

        """
        return tuple(Digest.parse(str(entry.get("digest")), self.where) for entry in self._entries)

    def lacking(self, manifests: Iterable[Manifest | Index]) -> tuple[Manifest | Index, ...]:
        """Those that are not listed."""
        listed = {str(entry.get("digest")) for entry in self._entries}
        return tuple(one for one in manifests if str(one.digest) not in listed)

    def extended(self, manifests: Iterable[Manifest | Index]) -> bytes:
        """The bytes of the list with those that it lacks at its end, in their order.

        Raises:
            ReferrersTagConflict: they would be more than registries are required to take.

        """
        entries = [*self._entries, *(_describe(one) for one in self.lacking(manifests))]
        document = {**_EMPTY, **self.document, "mediaType": mediatype.OCI_INDEX}
        raw = json.dumps({**document, "manifests": entries}, separators=(",", ":")).encode()
        if len(raw) > MANIFEST_LIMIT:
            raise ReferrersTagConflict(
                f"the list of referrers is full: with ours it has {len(raw)} bytes, "
                f"over {MANIFEST_LIMIT}",
                where=self.where,
                next_step="delete referrers there that nobody needs",
            )
        return raw

    @property
    def _entries(self) -> list[Mapping[str, object]]:
        entries = self.document["manifests"]
        assert isinstance(entries, list)  # noqa: S101 - parse proved it
        return entries


def _check(fields: Fields) -> None:
    said = fields.optional_text("mediaType")
    if said not in (None, mediatype.OCI_INDEX):
        fields.refuse(f"it names a manifest of type {str(said)[:100]!r}")
    if "layers" in fields or "config" in fields:
        fields.refuse("it names an image")
    fields.records("manifests")


def _conflict(what: str, where: str) -> ReferrersTagConflict:
    return ReferrersTagConflict(
        f"the tag is no list of referrers: {what}", where=where, next_step=_NEXT_STEP
    )


def _describe(manifest: Manifest | Index) -> dict[str, object]:
    """The entry of a manifest (distribution-spec, Pushing Manifests with Subject)."""
    entry: dict[str, object] = {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.raw),
    }
    if manifest.artifact_type:
        entry["artifactType"] = manifest.artifact_type
    if manifest.annotations:
        entry["annotations"] = dict(manifest.annotations)
    return entry
