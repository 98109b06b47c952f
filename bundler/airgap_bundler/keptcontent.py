"""Kept content: the manifests that a run had fetched when a registry gave nothing more.

Without them the next run would spend its pulls on the same images, and never come further. They are
kept beside the bundle to be, and gone when it is finished.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from airgap_shared.bundle.names import METADATA_LIMIT
from airgap_shared.errors import AirgapError
from airgap_shared.oci.digest import Digest

_SUFFIX = ".manifests.partial"
_LIMIT = 2 * METADATA_LIMIT
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class KeptContent:
    """The file of one output; nothing that goes wrong with it stops anything."""

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(output.name + _SUFFIX)

    def load(self) -> dict[Digest, bytes]:
        """What was kept and is what its digest says."""
        with suppress(OSError):
            if self.path.is_file() and self.path.stat().st_size <= _LIMIT:
                return parse_kept(self.path.read_bytes())
        return {}

    def save(self, content: Mapping[Digest, bytes]) -> None:
        """Keep this instead of what was kept before."""
        document = {str(digest): base64.b64encode(raw).decode() for digest, raw in content.items()}
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            with os.fdopen(os.open(self.path, _FLAGS, 0o644), "w") as file:
                json.dump(document, file)

    def discard(self) -> None:
        """Remove it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def parse_kept(raw: bytes) -> dict[Digest, bytes]:
    """Digests and content; what is not as it was written, and all after it, is left out."""
    found: dict[Digest, bytes] = {}
    with suppress(ValueError, RecursionError, AirgapError):
        document = json.loads(raw)
        for text, encoded in document.items() if isinstance(document, dict) else ():
            digest, content = Digest.parse(text), base64.b64decode(str(encoded))
            digest.check(content)
            found[digest] = content
    return found
