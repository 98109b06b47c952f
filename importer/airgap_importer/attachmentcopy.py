"""Copies of what the registry refused: an OCI image layout in ``.airgap/attachments``.

Nothing is lost because a registry does not take signatures: whoever needs them finds them beside
the overlay, and other tools read the layout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from airgap_importer.attachmentpush import RefusedAttachment
from airgap_shared.bundle import names
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.errors import AirgapError
from airgap_shared.oci import mediatype
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget

#: The folder below ``.airgap``.
ATTACHMENTS = "attachments"
#: So much of blobs is copied, in bytes; what is larger stays in the bundle, a layout as well.
_LIMIT = 64 * 1024 * 1024


def copy_refused(
    refused: Sequence[RefusedAttachment], bundle: VerifiedBundle, registry: ImageTarget
) -> Mapping[str, bytes]:
    """The files of the layout by their paths in it; none where nothing was refused.

    Blobs that a pipe has already brought are taken back from the registry, if it has them.
    """
    if not refused:
        return {}
    files = {
        names.LAYOUT: names.LAYOUT_CONTENT,
        names.INDEX: _index(refused),
    }
    positions = {member.digest: position for position, member in bundle.blobs()}
    room = _LIMIT
    for one in refused:
        for manifest in one.placed.manifests:
            files[names.blob_path(manifest.digest)] = manifest.raw
        for blob in unique_blobs(one.placed.manifests):
            path = names.blob_path(blob.digest)
            if path not in files and blob.size <= room:
                content = _content(one.placed.repository, blob, bundle, registry, positions)
                if content is not None:
                    files[path] = content
                    room -= len(content)
    return files


def _content(
    repository: str,
    blob: Descriptor,
    bundle: VerifiedBundle,
    registry: ImageTarget,
    positions: Mapping[Digest, int],
) -> bytes | None:
    try:
        if bundle.medium.random_access:
            return b"".join(bundle.blob_chunks(positions[blob.digest]))
        return b"".join(registry.fetch_blob(repository, blob.digest, blob.size))
    except AirgapError:
        return None


def _index(refused: Sequence[RefusedAttachment]) -> bytes:
    manifests = [
        {
            "mediaType": one.placed.entry.media_type,
            "digest": str(one.placed.entry.root),
            "size": len(one.placed.manifests[-1].raw),
            "annotations": {
                names.REF_NAME: one.placed.name,
                names.ATTACHED_TO: str(one.placed.entry.subject),
            },
        }
        for one in refused
    ]
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": manifests}
    return json.dumps(document, indent=1, sort_keys=True).encode()
