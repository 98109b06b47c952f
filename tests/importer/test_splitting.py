"""Split references: every field gets the one value with which the whole names the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap_importer.proof import check_changes, promised_by, prove
from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_importer.rendering import Renderer
from airgap_importer.rewriting import Means
from airgap_importer.splitting import SplitUse, set_pieces
from airgap_shared.errors import UnrewrittenImage
from airgap_shared.kube.objects import KubeObject, ObjectIdentity
from airgap_shared.kube.replacing import edit_text
from airgap_shared.kube.splitreferences import compose_pieces
from airgap_shared.kube.uses import Embedded, FieldPath, ImageUse, Piece, PieceRole, Verdict
from airgap_shared.kube.yamltext import read_documents
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference
from support.overlays import application, relocation_of, write_overlay

_HEX = "a" * 64
_OBJECT = KubeObject("a.yaml", 0, (), ObjectIdentity("v1", "Thing", "t"), {})


def _split(
    repository: str = "apps/shop/app", tag: str | None = "1", /, **texts: str
) -> tuple[SplitUse, ...]:
    """One use whose pieces stand in fields of the names of their roles."""
    return (_use("app", texts, {}, repository, tag),)


def _use(
    name: str,
    texts: dict[str, str],
    shared: dict[str, str],
    repository: str,
    tag: str | None,
) -> SplitUse:
    pieces = tuple(
        Piece(PieceRole(role), FieldPath((role,) if role in shared else (name, role)), (), text)
        for role, text in (shared | texts).items()
    )
    text = compose_pieces(pieces)
    use = ImageUse(text, _OBJECT, FieldPath((name,)), "split", Verdict.IMAGE, "", (), pieces)
    target = RelocatedImage(
        parse_reference(text), "reg.test:5000", repository, tag, Digest("sha256", _HEX)
    )
    return SplitUse(use, target)


def _values(uses: tuple[SplitUse, ...]) -> dict[str, str]:
    edits = set_pieces(uses).get(_OBJECT, [])
    return {str(edit.path): edit.after for edit in edits}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (
            {"registry": "ghcr.io", "repository": "org", "name": "x", "tag": "1"},
            {"registry": "reg.test:5000", "repository": "apps/shop", "name": "app"},
        ),
        (
            {"registry": "ghcr.io", "repository": "org/x", "tag": "1"},
            {"registry": "reg.test:5000", "repository": "apps/shop/app"},
        ),
        (
            {"registry": "docker.io/istio", "name": "proxyv2", "tag": "1"},
            {"registry": "reg.test:5000/apps/shop", "name": "app"},
        ),
        (
            {"registry": "docker.io", "name": "proxyv2", "tag": "1"},
            {"registry": "reg.test:5000", "name": "apps/shop/app"},
        ),
        (
            {"repository": "nvcr.io/nvidia/k8s", "name": "toolkit", "tag": "1"},
            {"repository": "reg.test:5000/apps/shop", "name": "app"},
        ),
        (
            {"repository": "nvcr.io/nvidia/toolkit", "name": "toolkit", "tag": "1"},
            {"repository": "reg.test:5000/apps/shop/app", "name": "app"},
        ),
        (
            {"registry": "ghcr.io", "repository": "ghcr.io/org/x", "tag": "1"},
            {"registry": "reg.test:5000", "repository": "reg.test:5000/apps/shop/app"},
        ),
        ({"name": "debian", "tag": "1"}, {"name": "reg.test:5000/apps/shop/app"}),
        (
            {"repository": "ghcr.io/o/x", "tag": "0", "digest": f"sha256:{'b' * 64}"},
            {
                "repository": "reg.test:5000/apps/shop/app",
                "tag": "1",
                "digest": f"sha256:{_HEX}",
            },
        ),
        (
            {"repository": "ghcr.io/o/x", "digest": "b" * 64},
            {"repository": "reg.test:5000/apps/shop/app", "digest": _HEX},
        ),
    ],
)
def test_the_pieces_compose_to_the_target(pieces: dict[str, str], expected: dict[str, str]) -> None:
    assert _values(_split(**pieces)) == {f"app.{role}": text for role, text in expected.items()}


def test_without_a_tag_in_the_target_the_digest_stands_with_the_tag() -> None:
    values = _values(_split("apps/app", None, repository="ghcr.io/o/x", tag="2"))
    assert values == {"app.repository": "reg.test:5000/apps/app", "app.tag": f"2@sha256:{_HEX}"}


def test_without_a_namespace_one_field_must_hold_the_whole_path() -> None:
    assert _values(_split("app", "1", registry="ghcr.io", repository="o/x", tag="1")) == {
        "app.registry": "reg.test:5000",
        "app.repository": "app",
    }
    with pytest.raises(UnrewrittenImage, match="split") as refused:
        set_pieces(_split("app", "1", registry="ghcr.io", repository="o", name="x", tag="1"))
    assert "cannot hold reg.test:5000/app:1@sha256:" in refused.value.details[0]


def test_without_a_tag_anywhere_nothing_can_be_said() -> None:
    with pytest.raises(UnrewrittenImage):
        set_pieces(_split("apps/app", None, registry="ghcr.io", repository="o/x"))


def test_what_several_images_share_gets_one_value() -> None:
    shared = {"registry": "docker.io/istio", "tag": "1"}
    uses = tuple(
        _use(name, {"name": name}, shared, f"apps/{name}", "1") for name in ("pilot", "proxyv2")
    )
    assert _values(uses) == {"registry": "reg.test:5000/apps"}


def test_a_shared_registry_is_chosen_so_that_all_can_use_it() -> None:
    shared = {"registry": "docker.io/istio"}
    uses = (
        _use("a", {"name": "a", "tag": "1"}, shared, "apps/a", "1"),
        _use("b", {"repository": "x", "name": "b", "tag": "1"}, shared, "apps/b", "1"),
    )
    assert _values(uses) == {
        "registry": "reg.test:5000",
        "a.name": "apps/a",
        "b.repository": "apps",
    }


def test_a_shared_tag_that_cannot_serve_all_is_reported() -> None:
    shared = {"registry": "docker.io/istio", "tag": "1"}
    uses = (
        _use("a", {"name": "a"}, shared, "apps/a", "1"),
        _use("b", {"name": "b"}, shared, "apps/b", None),
    )
    with pytest.raises(UnrewrittenImage) as refused:
        set_pieces(uses)
    assert "its tag '1' serves several images" in refused.value.details[0]


_THINGS = """\
apiVersion: example.com/v1
kind: Policy
metadata: {name: p}
spec:
  validator: {repository: nvcr.io/nvidia, image: validator, version: v1.2}
  toolkit: {repository: nvcr.io/nvidia/k8s, image: toolkit, version: v1.20.0}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data:
  other.yaml: |
    image: quay.io/org/other:1
  values.yaml: |
    # ours
    global:
      hub: docker.io/istio
      tag: "1.10"  # a release
      proxy: {image: proxyv2}
    sidecar:
      image: quay.io/org/sidecar:2
"""


def test_every_renderer_shows_composed_references(renderer: Renderer, tmp_path: Path) -> None:
    app = application(_THINGS)
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    means = {rewrite.use.text: rewrite.means for rewrite in overlay.rewrites}
    assert means == {
        "nvcr.io/nvidia/validator:v1.2": Means.SPLIT,
        "nvcr.io/nvidia/k8s/toolkit:v1.20.0": Means.SPLIT,
        "docker.io/istio/proxyv2:1.10": Means.SPLIT,
        "quay.io/org/sidecar:2": Means.PATCH,
        "quay.io/org/other:1": Means.PATCH,
    }
    promised = promised_by(relocation)
    check_changes(overlay, promised)
    proof = prove(overlay, renderer.render(write_overlay(tmp_path, overlay)), promised)
    assert proof.uses == 5
    patch = overlay.files["overlays/midstream/patches-split/configmap-values.yaml"].decode()
    assert 'tag: "1.10"  # a release' in patch
    assert "# ours" in patch
    assert "other" not in patch


def test_a_tag_that_is_not_promised_is_no_proof(tmp_path: Path) -> None:
    app = application(_THINGS)
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    images = {
        name: image
        for name, image in relocation.images.items()
        if not name.startswith("nvcr.io/nvidia/validator")
    }
    with pytest.raises(UnrewrittenImage) as refused:
        check_changes(overlay, promised_by(Relocation(images)))
    assert len(refused.value.details) == 1
    assert "spec.validator" in refused.value.details[0]


def test_pieces_inside_texts_are_set_in_their_text() -> None:
    text = "image: {repository: ghcr.io/o/x, tag: 1.10}\n"
    pieces = tuple(
        Piece(role, FieldPath(("data",)), (Embedded(0, FieldPath(("image", role.value))),), old)
        for role, old in ((PieceRole.REPOSITORY, "ghcr.io/o/x"), (PieceRole.TAG, "1.1"))
    )
    use = ImageUse(
        "ghcr.io/o/x:1.1", _OBJECT, FieldPath(("data",)), "s", Verdict.IMAGE, "", (), pieces
    )
    target = RelocatedImage(
        parse_reference(use.text), "reg.test", "a/x", None, Digest("sha256", _HEX)
    )
    edits = set_pieces([SplitUse(use, target)])[_OBJECT]
    value = read_documents(edit_text(text, edits, ""), "")[0].value
    assert value == {"image": {"repository": "reg.test/a/x", "tag": f"1.1@sha256:{_HEX}"}}
