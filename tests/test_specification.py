"""The numbers of bundle-spec.md are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from airgap_shared.bundle import frames, names, parts
from airgap_shared.kube import yamltext
from airgap_shared.oci import fields, manifest
from airgap_shared.trust import envelope

_SPECIFICATION = Path(__file__).parents[1] / "bundle-spec.md"
_MIB = 1 << 20


def limits() -> dict[str, str]:
    """The rows of the tables of section 9."""
    section = _SPECIFICATION.read_text().partition("## 9. Limits")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    return {what: limit for what, limit in rows if what != "what"}


def test_the_limits_are_those_of_the_specification() -> None:
    assert limits() == {
        "envelope": f"{envelope.ENVELOPE_LIMIT // _MIB} MiB",
        "values in the envelope": f"{envelope.ENVELOPE_VALUE_LIMIT:,}",
        "signatures": f"{envelope.SIGNATURE_LIMIT}, each {envelope.SIGNATURE_BYTES_LIMIT:,} bytes",
        "members": f"{names.MEMBER_LIMIT:,}",
        "all members but blobs, together": f"{names.METADATA_LIMIT // _MIB} MiB",
        "a manifest or index": f"{manifest.MANIFEST_LIMIT // _MIB} MiB",
        "descriptors in one manifest": f"{manifest.DESCRIPTOR_LIMIT:,}",
        "values in a manifest or index": f"{manifest.MANIFEST_VALUE_LIMIT:,}",
        "values in the statement, in `index.json`, in the inventory": f"{names.VALUE_LIMIT:,} each",
        "nesting of indexes": f"{names.NESTING_LIMIT}",
        "attachments of one image": f"{names.ATTACHED_LIMIT:,}",
        "links in a chain of attachments": f"{names.ATTACHED_DEPTH}",
        "nesting of JSON": f"{fields.MAX_DEPTH}",
        "zstd frames": f"2^{frames.FRAME_COUNT_LIMIT.bit_length() - 1}",
        "content of a zstd frame": f"2^{frames.FRAME_LIMIT.bit_length() - 1} bytes",
        "window of a zstd frame": f"2^{frames.WINDOW_LIMIT.bit_length() - 1} bytes",
        "blocks of a segment": f"{frames.BLOCK_COUNT_LIMIT:,}, and one for each "
        f"{frames.CONTENT_PER_BLOCK} bytes",
        "parts": f"{parts.PART_LIMIT}",
        "index of the parts": f"{parts.INDEX_LIMIT // _MIB} MiB",
        "a file": f"{yamltext.SIZE_LIMIT // _MIB} MiB",
        "nesting of YAML or JSON": f"{yamltext.DEPTH_LIMIT}",
        "values in a file, an alias counted as what it stands for": f"{yamltext.NODE_LIMIT:,}",
        "documents in a file": f"{yamltext.DOCUMENT_LIMIT:,}",
        "uses of aliases in a file": f"{yamltext.ALIAS_LIMIT:,}",
        "merge keys in a file": f"{yamltext.MERGE_LIMIT:,}",
    }
