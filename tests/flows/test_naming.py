"""What images are called in the target, and that it is remembered wherever somebody looks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from support.docker_registry import DockerRegistry
from support.images import make_image
from support.journey import Journey, images_in, refused, succeeded

_CART, _OTHER = "docker.io/acme/cart", "quay.io/legacy/cart"


def _bundle(journey: Journey, *images: str) -> None:
    for image in images:
        journey.push(image, make_image([image.encode()]))
    journey.deploy(*images)
    succeeded(journey.create())


def _places(journey: Journey) -> dict[str, str]:
    return {
        source.rpartition(":")[0]: entry["repository"]
        for source, entry in journey.relocation().items()
    }


@pytest.mark.parametrize(
    ("naming", "place"),
    [("path", "apps/shop/docker.io/acme/cart"), ("flat", "apps/shop/docker.io-acme-cart")],
)
def test_a_strategy_names_what_is_pushed_and_deployed(
    journey: Journey, registry: DockerRegistry, naming: str, place: str
) -> None:
    _bundle(journey, f"{_CART}:1", f"{_OTHER}:1")

    succeeded(journey.apply("--naming", naming))

    assert _places(journey)[_CART] == place
    assert registry.storage.all_tags()[place, "1"]
    assert images_in(journey.rendered()) == sorted(
        entry["reference"] for entry in journey.relocation().values()
    )

    # Said otherwise later, it stays; what is new follows.
    _bundle(journey, f"{_CART}:2", f"{_OTHER}:2", "quay.io/acme/new:1")
    succeeded(journey.apply("--naming", "last"))
    found = _places(journey)
    assert found[_CART] == place
    assert found["quay.io/acme/new"] == "apps/shop/new"


class TestMemory:
    """One application, imported once; then a source comes that would part the names."""

    @pytest.fixture
    def imported(self, journey: Journey) -> Journey:
        _bundle(journey, f"{_CART}:1")
        succeeded(journey.apply())
        assert _places(journey) == {_CART: "apps/shop/cart"}
        _bundle(journey, f"{_CART}:2", f"{_OTHER}:1")
        return journey

    def _assert_kept(self, journey: Journey) -> None:
        found = _places(journey)
        assert found[_CART] == "apps/shop/cart"
        assert found[_OTHER].startswith("apps/shop/cart-")

    def test_the_host_knows_when_the_folder_is_lost(self, imported: Journey) -> None:
        shutil.rmtree(imported.overlay)
        # Not even the registry tells, were it to forget.
        shutil.rmtree(_receipts(imported))
        succeeded(imported.apply())
        self._assert_kept(imported)

    def test_the_registry_knows_when_the_host_is_new(self, imported: Journey) -> None:
        shutil.rmtree(imported.overlay)
        succeeded(imported.apply("--state-dir", "another"))
        self._assert_kept(imported)

    def test_a_state_made_again_has_the_names(self, imported: Journey) -> None:
        shutil.rmtree(imported.overlay)
        succeeded(
            imported.shell.run(
                *("airgap-import", "state", "rebuild", "--state-dir", "another"),
                *("--registry-endpoint", imported.target, "--plain-http"),
                *("--image-namespace", imported.namespace, "--app", "shop"),
            )
        )
        (state,) = (imported.folder / "another").rglob("state.json")
        assert json.loads(state.read_text())["names"] == {_CART: "apps/shop/cart"}

    def test_a_dry_run_shows_the_names_that_were_given(self, imported: Journey) -> None:
        shutil.rmtree(imported.overlay)
        done = succeeded(imported.apply("--dry-run"))
        assert f"{imported.target}/apps/shop/cart:2@" in done.out


def _receipts(journey: Journey) -> str:
    (folder,) = journey.folder.parent.rglob("repositories/apps/shop/airgap-receipts")
    return str(folder)


class TestPullEndpoint:
    """The cluster names the registry otherwise than whoever pushes."""

    PULL = "pull.example:5443/mirror"

    def test_is_what_is_deployed_and_never_spoken_to(
        self, journey: Journey, registry: DockerRegistry
    ) -> None:
        _bundle(journey, f"{_CART}:1", f"{_OTHER}:1")

        succeeded(journey.apply("--pull-endpoint", f"https://{self.PULL}"))

        entries = journey.relocation()
        for entry in entries.values():
            name, _, digest = entry["reference"].rpartition("@")
            assert name.startswith(f"{self.PULL}/apps/shop/cart-")
            pushed = entry["pushed"].removeprefix(f"{journey.target}/")
            assert registry.storage.all_tags()[pushed, "1"] == digest
        assert images_in(journey.rendered()) == sorted(
            entry["reference"] for entry in entries.values()
        )
        assert self.PULL in (journey.overlay / ".airgap" / "relocation.csv").read_text()

    def test_may_come_later_and_the_names_stay(self, journey: Journey) -> None:
        _bundle(journey, f"{_CART}:1")
        succeeded(journey.apply())
        _bundle(journey, f"{_CART}:2", f"{_OTHER}:1")

        succeeded(journey.apply("--pull-endpoint", self.PULL))

        entry = journey.relocation()[f"{_CART}:2"]
        assert entry["pushed"] == f"{journey.target}/apps/shop/cart"
        assert entry["reference"].startswith(f"{self.PULL}/apps/shop/cart:2@")

        # And go again.
        succeeded(journey.apply())
        assert journey.relocation()[f"{_CART}:2"]["reference"].startswith(
            f"{journey.target}/apps/shop/cart:2@"
        )

    def test_the_same_is_none(self, journey: Journey) -> None:
        _bundle(journey, f"{_CART}:1")
        succeeded(journey.apply("--pull-endpoint", journey.target))
        assert "pushed" not in journey.relocation()[f"{_CART}:1"]

    def test_has_to_be_an_endpoint(self, journey: Journey, registry: DockerRegistry) -> None:
        _bundle(journey, f"{_CART}:1")
        done = refused(journey.apply("--pull-endpoint", "user:s3@pull.example"), 2, "UsageError")
        assert "--pull-endpoint" in done.err
        assert "s3@" not in done.err + done.out
        assert registry.storage.blobs() == {}


def test_a_depth_that_the_registry_does_not_have_is_refused_before_anything(
    journey: Journey, registry: DockerRegistry
) -> None:
    _bundle(journey, f"{_CART}:1")

    done = refused(journey.apply("--registry-type", "dockerhub"), 2, "UsageError")

    assert "Docker Hub has repositories of the form NAMESPACE/NAME" in done.err
    assert "nothing was changed" in done.err
    assert registry.storage.blobs() == {}
    assert not journey.overlay.exists()

    flat = replace(journey, namespace="shop")
    succeeded(flat.apply("--registry-type", "dockerhub", "--naming", "flat"))
    assert _places(flat) == {_CART: "shop/docker.io-acme-cart"}
