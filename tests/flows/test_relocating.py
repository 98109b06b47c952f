"""Where images go, and that they stay there."""

from __future__ import annotations

from support.docker_registry import DockerRegistry
from support.images import BuiltImage, make_image
from support.journey import Journey, deployment, images_in, refused, succeeded, tree_of
from support.pushing import push_image


def _image(text: str) -> BuiltImage:
    return make_image([text.encode()])


def _carry(journey: Journey, *images: str, options: tuple[str, ...] = ()) -> dict[str, str]:
    """Push, create, apply; the reference in the target by canonical source."""
    for image in images:
        if "@" not in image:
            journey.push(image, _image(image))
    journey.deploy(*images)
    succeeded(journey.create())
    succeeded(journey.apply(*options))
    assert images_in(journey.rendered()) == sorted(
        entry["reference"] for entry in journey.relocation().values()
    )
    return {source: entry["repository"] for source, entry in journey.relocation().items()}


def test_every_form_of_a_reference_arrives(journey: Journey, registry: DockerRegistry) -> None:
    both = journey.push("quay.io/team/both:2", _image("both"))
    only = journey.push("quay.io/team/only:1", _image("only"))
    images = (
        "nginx",
        "nginx:1.27",
        f"quay.io/team/both:2@{both}",
        f"quay.io/team/only@{only}",
        "registry.example.com:5000/team/ported:3",
        "localhost/team/local",
    )

    repositories = _carry(journey, *images)

    assert set(repositories.values()) == {
        f"apps/shop/{name}" for name in ("nginx", "both", "only", "ported", "local")
    }
    tags = registry.storage.all_tags()
    assert {tag for name, tag in tags if name == "apps/shop/nginx" and "airgap" not in tag} == {
        *("latest", "1.27"),
    }
    assert tags["apps/shop/both", "2"] == both
    assert [tag for name, tag in tags if name == "apps/shop/only"] == [
        only.replace("sha256:", "airgap-")
    ]
    assert tags["apps/shop/ported", "3"]
    assert tags["apps/shop/local", "latest"]


def test_names_that_would_meet_part_and_stay_apart(journey: Journey) -> None:
    both = _carry(journey, "docker.io/acme/cart:1", "quay.io/legacy/cart:1")
    assert len(set(both.values())) == 2
    assert all(name.startswith("apps/shop/cart-") for name in both.values())

    # Neither gets the short name back when it is alone, or is joined by a third.
    alone = _carry(journey, "docker.io/acme/cart:2")
    assert alone["docker.io/acme/cart:2"] == both["docker.io/acme/cart:1"]


def test_a_newcomer_does_not_rename_what_is_there(journey: Journey) -> None:
    first = _carry(journey, "docker.io/acme/cart:1")
    assert first["docker.io/acme/cart:1"] == "apps/shop/cart"

    second = _carry(journey, "docker.io/acme/cart:2", "quay.io/legacy/cart:1")

    assert second["docker.io/acme/cart:2"] == "apps/shop/cart"
    assert second["quay.io/legacy/cart:1"].startswith("apps/shop/cart-")


def test_a_name_once_given_is_not_given_to_another(journey: Journey) -> None:
    _carry(journey, "docker.io/acme/cart:1")
    _carry(journey, "docker.io/acme/other:1")

    later = _carry(journey, "quay.io/legacy/cart:1")

    # Even a release without the first one must not take over its repository.
    assert later["quay.io/legacy/cart:1"] != "apps/shop/cart"


def test_a_dry_run_changes_nothing_on_either_side(
    journey: Journey, registry: DockerRegistry, source_registry: DockerRegistry
) -> None:
    journey.push("team/app:1", _image("app"))
    journey.deploy("team/app:1")
    source, before = source_registry.storage.snapshot(), tree_of(journey.folder)

    succeeded(journey.create("--dry-run"))
    assert tree_of(journey.folder) == before

    succeeded(journey.create())
    before = tree_of(journey.folder)
    done = succeeded(journey.apply("--dry-run"))
    assert "1 manifests" in done.out
    assert tree_of(journey.folder) == before
    assert registry.storage.blobs() == {}
    assert registry.storage.open_uploads() == 0
    assert source_registry.storage.snapshot() == source


class TestTags:
    """A tag that is there and names something else."""

    def _conflict(self, journey: Journey) -> None:
        push_image(journey.target, "apps/shop/app", "1", _image("somebody else's"))
        for name in ("app", "other"):
            journey.push(f"team/{name}:1", _image(name))
        journey.deploy("team/app:1", "team/other:1")
        succeeded(journey.create())

    def test_stays_and_nothing_is_pushed(self, journey: Journey, registry: DockerRegistry) -> None:
        self._conflict(journey)
        before = registry.storage.snapshot()

        done = refused(journey.apply(), 23, "TagConflict")

        assert "apps/shop/app:1" in done.err
        assert "--move-tags" in done.err
        assert "another --image-namespace" in done.err
        assert registry.storage.snapshot() == before
        assert not journey.overlay.exists()

    def test_moves_when_told_to(self, journey: Journey, registry: DockerRegistry) -> None:
        self._conflict(journey)
        succeeded(journey.apply("--move-tags"))
        assert registry.storage.all_tags()["apps/shop/app", "1"] == _image("app").digest


class TestOverlayDirectory:
    """Whose files are whose."""

    def test_of_somebody_else_is_refused(self, journey: Journey, registry: DockerRegistry) -> None:
        journey.push("team/app:1", _image("app"))
        journey.deploy("team/app:1")
        succeeded(journey.create())
        journey.overlay.mkdir()
        (journey.overlay / "notes.txt").write_text("mine")

        refused(journey.apply(), 30, "OverlayNotOurs")

        assert tree_of(journey.overlay) == {"notes.txt": b"mine"}
        assert registry.storage.blobs() == {}

    def test_keeps_what_the_user_wrote(self, journey: Journey) -> None:
        _carry(journey, "docker.io/acme/cart:1")
        downstream = journey.overlay / "overlays" / "downstreams" / "this-cluster"
        (downstream / "kustomization.yaml").write_text("resources: [../../midstream]\n# mine\n")
        (downstream / "patch.yaml").write_text("mine")
        (journey.overlay / "overlays" / "midstream" / "stray.yaml").write_text("not mine")
        before = tree_of(downstream)

        _carry(journey, "docker.io/acme/cart:2")

        assert tree_of(downstream) == before
        assert not (journey.overlay / "overlays" / "midstream" / "stray.yaml").exists()

    def test_upstream_is_what_was_shipped(self, journey: Journey) -> None:
        _carry(journey, "docker.io/acme/cart:1")
        shipped = (journey.overlay / "upstream" / "app.yaml").read_text()
        assert shipped == deployment("web", "docker.io/acme/cart:1")
