"""Records of imports that never were, and nodes that read what was made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from airgap_importer.mirrors.records import MirroredImage, Records
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference


def digest_of(source: str) -> str:
    """The digest that :func:`records_of` gives an image."""
    reference = parse_reference(source)
    return str(reference.digest or Digest.of(reference.canonical.encode()))


def records_of(targets: Mapping[str, str], plain_http: bool = False, app: str = "shop") -> Records:
    """Records that send each source to a target; targets without a digest get the source's."""
    images = []
    for source, target in targets.items():
        full = target if "@" in target else f"{target}@{digest_of(source)}"
        images.append(MirroredImage(parse_reference(source), parse_reference(full)))
    return Records(app, plain_http, tuple(images), ())


def pulled_by_k3s(registries: bytes, reference: str) -> list[str]:
    """Where a k3s node looks for an image, by its documentation: mirrors, then the host itself.

    Rewrites are regular expressions that are searched for in the name without the host; the
    first that changes it counts, in no order. So all orders must come to the same.
    """
    named = parse_reference(reference)
    mirror = yaml.safe_load(registries)["mirrors"].get(named.registry)
    version = f"@{named.digest}" if named.digest else f":{named.effective_tag}"
    places = []
    for endpoint in mirror["endpoint"] if mirror else ():
        changed = {
            re.sub(pattern, _go_template(after), named.repository)
            for pattern, after in mirror.get("rewrite", {}).items()
        } - {named.repository}
        assert len(changed) <= 1, changed
        places.append(f"{endpoint}/v2/{changed.pop() if changed else named.repository}{version}")
    return [*places, f"https://{named.registry}/v2/{named.repository}{version}"]


def _go_template(text: str) -> str:
    """What a replacement of Go's regexp is in Python's re."""
    assert "$" not in text, text
    return text.replace("\\", "\\\\")
