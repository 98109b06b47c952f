"""The receipt of the newest import, kept in the target registry for other hosts to see.

It is an OCI artifact in the repository ``PATH/airgap-receipts`` under a tag for application and
channel: a manifest with the receipt as an annotation, so that one request reads it; another one
has the repositories that sources were given. What the registry says can only raise what this host
remembers itself, never lower it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airgap_importer.assignments import RECEIPTS, parse_assignments
from airgap_importer.history.receipt import Receipt, parse_receipt
from airgap_importer.keeptags import keep_tag
from airgap_importer.relocation import Target
from airgap_shared.errors import (
    AirgapError,
    Denied,
    LimitExceeded,
    RegistryError,
    RegistryIntegrity,
    RegistryRejected,
    RollbackDetected,
    TagImmutable,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.manifest import MANIFEST_VALUE_LIMIT
from airgap_shared.stores.ports import ImageTarget

ARTIFACT_TYPE = "application/vnd.airgap-bundle.receipt.v1+json"
ANNOTATION = "dev.airgap-bundle.receipt"
NAMES_ANNOTATION = "dev.airgap-bundle.names"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
#: No underscore: what follows two of them is a digest.
_PLAIN_CHANNEL = re.compile(r"[A-Za-z0-9.-]{1,48}")
#: What a registry answers that cannot, or may not, keep receipts.
UNWILLING = (Denied, RegistryRejected, TagImmutable)
#: Answers to a reading by which a registry says that it has no such things; all others are faults.
_NOT_KEPT = frozenset({400, 404, 405, 415, 422})


def shows_none(problem: RegistryError) -> bool:
    """Whether a failure to read says that the registry has, or shows, no receipts."""
    if isinstance(problem, RegistryRejected):
        return problem.status in _NOT_KEPT
    return isinstance(problem, Denied)


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt as a registry has it, and the repositories by source name that go with it.

    ``digest`` is that of its manifest; None where it is in no registry yet.
    """

    receipt: Receipt
    names: Mapping[str, str] = field(default_factory=dict)
    digest: Digest | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RegistryReceipts:
    """The receipts of one application and channel in one target."""

    registry: ImageTarget
    target: Target
    app: str
    channel: str

    @property
    def repository(self) -> str:
        """Where receipts are."""
        return self.target.repository(RECEIPTS)

    @property
    def tag(self) -> str:
        """The tag of the newest one."""
        if _PLAIN_CHANNEL.fullmatch(self.channel):
            return f"{self.app}_{self.channel}"
        return f"{self.app}__{hashlib.sha256(self.channel.encode()).hexdigest()[:32]}"

    @property
    def where(self) -> str:
        """The receipt's full name."""
        return f"{self.target.registry}/{self.repository}:{self.tag}"

    def newest(self) -> KeptReceipt | None:
        """The receipt that is there; None when there is none.

        Raises:
            RegistryIntegrity: something else stands under its name.
            RegistryError: as always.

        """
        try:
            found = self.registry.get_manifest(self.repository, self.tag)
        except LimitExceeded as problem:
            raise self._none(problem) from problem
        if found is None:
            return None
        try:
            return replace(self._parse(found.raw), digest=found.digest)
        except AirgapError as problem:
            raise self._none(problem) from problem

    def keep(self, kept: KeptReceipt, known: KeptReceipt | None) -> None:
        """Make this the newest receipt, unless it is.

        ``known`` stood there when the release was last compared with it.

        Raises:
            RollbackDetected: another host has imported a newer release since; its receipt stays.
            RegistryIntegrity: it was taken and is not there.
            RegistryError: as always; :data:`UNWILLING` where receipts are not wanted.

        """
        raw = self._compose(kept)
        digest = Digest.of(raw)
        found = self.registry.head_manifest(self.repository, self.tag)
        if found is not None and found.digest == digest:
            return
        empty = Digest.of(_EMPTY)
        if self.registry.blob_size(self.repository, empty) != len(_EMPTY):
            self.registry.push_blob(self.repository, empty, len(_EMPTY), lambda: iter([_EMPTY]))
        for reference in (str(digest), keep_tag(digest)):
            self.registry.put_manifest(self.repository, reference, raw, _MANIFEST)
        self._refuse_overtaken(kept, known)
        self.registry.put_manifest(self.repository, self.tag, raw, _MANIFEST)
        found = self.registry.head_manifest(self.repository, self.tag)
        if found is None or found.digest != digest:
            there = self._refuse_overtaken(kept, known)
            if there is not None and there.receipt.tells_of(kept.receipt):
                return  # of another host that imported the same release at the same time
            raise RegistryIntegrity(
                "the registry says that it took the receipt, and does not have it",
                where=self.where,
            )

    def _none(self, problem: AirgapError) -> RegistryIntegrity:
        return RegistryIntegrity(
            f"what stands in the place of the receipt is none: {problem.what}",
            where=self.where,
            next_step=problem.next_step
            or "find out who wrote it; "
            "without a receipt, older bundles are recognised by this host alone",
        )

    def _refuse_overtaken(self, kept: KeptReceipt, known: KeptReceipt | None) -> KeptReceipt | None:
        """What another host has put there meanwhile, if that is nothing newer.

        A registry has no compare-and-swap: what is left is the time of one request.
        """
        there = self.registry.head_manifest(self.repository, self.tag)
        if there is None or (known is not None and there.digest == known.digest):
            return None
        found = self.newest()
        if found is not None and found.receipt.sequence > kept.receipt.sequence:
            newer = found.receipt
            raise RollbackDetected(
                f"{newer.version} (sequence {newer.sequence}) was imported by another host "
                "meanwhile",
                where=self.where,
                next_step=f"import {newer.version} again: tags in the registry may be of either",
            )
        return found

    def _compose(self, kept: KeptReceipt) -> bytes:
        annotations = {ANNOTATION: json.dumps(kept.receipt.to_document(), sort_keys=True)}
        if kept.names:
            annotations[NAMES_ANNOTATION] = json.dumps(dict(kept.names), sort_keys=True)
        empty = {"mediaType": _EMPTY_TYPE, "digest": str(Digest.of(_EMPTY)), "size": len(_EMPTY)}
        document = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": empty,
            "layers": [empty],
            "annotations": annotations,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    def _parse(self, raw: bytes) -> KeptReceipt:
        document = parse_json(raw, self.where, values=MANIFEST_VALUE_LIMIT)
        fields = Fields(document, self.where)
        annotations = fields.text_map("annotations")
        text = annotations.get(ANNOTATION)
        if text is None:
            fields.refuse("no receipt in it", f"annotations.{ANNOTATION}")
        inner = Fields(
            parse_json(text.encode(), self.where, RegistryIntegrity, values=MANIFEST_VALUE_LIMIT),
            self.where,
        )
        receipt = parse_receipt(inner, RegistryIntegrity)
        if (receipt.app, receipt.channel) != (self.app, self.channel):
            fields.refuse("the receipt of another application or channel")
        names = parse_json(annotations.get(NAMES_ANNOTATION, "{}").encode(), self.where)
        return KeptReceipt(
            receipt,
            parse_assignments(Fields({"names": names}, self.where), "names", str(self.target)),
        )
