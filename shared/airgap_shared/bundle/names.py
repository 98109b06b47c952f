"""The names and limits of bundle-spec.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate

from airgap_shared.oci.digest import Digest

FORMAT = 1
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://airgap-bundle.dev/attestation/bundle/v1"

ENVELOPE = "airgap-bundle.dsse.json"
LAYOUT = "oci-layout"
INDEX = "index.json"
APPLICATION = "application/upstream/"
INVENTORY = "application/inventory.json"
RULES = "application/rules.yaml"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'

#: Annotations of index.json's descriptors (image-spec, annotations.md; containerd).
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
#: What something in a layout of refused attachments is about.
ATTACHED_TO = "dev.airgap-bundle.attached-to"

MEMBER_LIMIT = 100_000
#: Everything a reader keeps in memory: the index, the manifests and the application's files.
METADATA_LIMIT = 256 * 1024 * 1024
#: Values of JSON in the statement, in index.json and in the inventory.
VALUE_LIMIT = 1_000_000
NESTING_LIMIT = 8
#: Attachments of one image, and how long a chain of them may be (a signature of an SBOM is 2).
ATTACHED_LIMIT = 1_000
ATTACHED_DEPTH = 4

_COMPONENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_DEPTH = 16
_APP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")


def blob_path(digest: Digest) -> str:
    """The member that holds content with this digest."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def is_safe_component(name: str) -> bool:
    """Whether one name of a path is as :func:`is_safe_path` asks for."""
    return (
        _COMPONENT.fullmatch(name) is not None
        and not name.endswith(".")
        and not _DEVICES.fullmatch(name)
    )


def is_safe_path(path: str) -> bool:
    """Whether a relative path can be written anywhere without surprise.

    At most 16 components of 1–100 letters, digits, ``.``, ``_`` and ``-``, none beginning or
    ending with a dot or naming a device of Windows.
    """
    components = path.split("/")
    return len(components) <= _DEPTH and all(map(is_safe_component, components))


def conflicting_path(paths: Iterable[str]) -> str | None:
    """A path that cannot be written beside the others: the same ignoring case, or inside a file."""
    taken: set[str] = set()
    folded = {path: path.lower() for path in paths}
    for path, key in folded.items():
        if key in taken:
            return path
        taken.add(key)
    for path, key in folded.items():
        if not taken.isdisjoint(accumulate(key.split("/")[:-1], "{}/{}".format)):
            return path
    return None


def is_application_name(text: str) -> bool:
    """Whether this can name an application: a DNS label (RFC 1123)."""
    return _APP.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """Whether this can be a version or channel: 1–128 printable ASCII characters."""
    return _LABEL.fullmatch(text) is not None
