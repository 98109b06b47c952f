"""Keys of JSON that not every reader tells apart: Go's takes ``Layers`` for ``layers``.

What was verified by one reading would be pulled by the other.
"""

from __future__ import annotations

from collections.abc import Set
from string import ascii_lowercase, ascii_uppercase

from airgap_shared.errors import AmbiguousManifest
from airgap_shared.oci.fields import Fields

#: The fields of manifests and indexes of every kind: some readers look for both in either.
MANIFEST_KEYS = frozenset(
    {
        *("schemaVersion", "mediaType", "artifactType", "subject", "annotations"),
        *("config", "layers", "manifests"),
    }
)
DESCRIPTOR_KEYS = frozenset(
    {
        *("mediaType", "artifactType", "digest", "size", "urls", "data"),
        *("annotations", "platform"),
    }
)
PLATFORM_KEYS = frozenset(
    {"os", "os.version", "os.features", "architecture", "variant", "features"}
)
# Go's encoding/json folds by Unicode: the long s and the sign of kelvin are letters of ASCII, too.
_FOLDING = str.maketrans(ascii_uppercase + "\u017f\u212a", ascii_lowercase + "sk")


def check_spelling(fields: Fields, known: Set[str]) -> None:
    """Refuse a key that is another one, or one of ``known``, but for upper and lower case.

    Raises:
        AmbiguousManifest: there is one.

    """
    if fields.mapping.keys() <= known:
        return
    meant = {key.translate(_FOLDING): key for key in known}
    for key in fields.mapping:
        other = meant.setdefault(key.translate(_FOLDING), key)
        if other != key:
            raise AmbiguousManifest(
                f"some readers take the key {key[:100]!a} for {other[:100]!a}", where=fields.place
            )
