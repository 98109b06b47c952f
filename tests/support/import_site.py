"""One place into which releases are imported one after the other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from support.commands import Finished
from support.hostile import Draft, Key
from support.images import BuiltImage, make_image
from support.journey import deployment, refused, tree_of
from support.registry_storage import Snapshot
from support.victim import Victim

#: The times of a release that is too old to be imported now.
PAST = {"created": "2025-01-01T00:00:00Z", "expires": "2026-01-01T00:00:00Z"}
_NAMES = iter(range(1_000_000))


def release_image(version: str) -> BuiltImage:
    """The image of a release."""
    return make_image([f"release {version}".encode()])


def shop_release(version: str, sequence: int, **predicate: object) -> Draft:
    """A release of the shop with an image of its own under the same name."""
    draft = Draft.of(
        {"docker.io/team/app:1": release_image(version)},
        {"app.yaml": deployment("web", "team/app:1")},
    )
    return replace(draft, predicate={"version": version, "sequence": sequence, **predicate})


class Site:
    """One place into which releases are imported one after the other."""

    def __init__(self, victim: Victim, key: Key) -> None:
        self.victim = victim
        self.namespace = f"site{next(_NAMES)}"
        self._key = key

    @property
    def key_id(self) -> str:
        """The name of the key that signs the releases."""
        return self._key.key_id

    @property
    def state(self) -> Path:
        """What the importing host remembers."""
        return self.victim.folder / "state"

    @property
    def overlay(self) -> Path:
        """Where the overlay is written."""
        return self.victim.folder / "deploy"

    def apply(self, draft: Draft, *options: str) -> Finished:
        """Import a release; tags may be moved, that is not the question here."""
        return self.victim.apply(
            draft.pack(self._key), "--move-tags", "--image-namespace", self.namespace, *options
        )

    def everything(self) -> tuple[Snapshot, dict[str, bytes | None], dict[str, bytes | None]]:
        """The registry, the overlay and the memory."""
        return (
            self.victim.registry.storage.snapshot(),
            tree_of(self.overlay),
            {n: c for n, c in tree_of(self.state).items() if not n.endswith("lock")},
        )

    def refuses(self, draft: Draft, name: str, *options: str, code: int = 12) -> Finished:
        """Import a release that is refused, and make sure that nothing changes anywhere."""
        before = self.everything()
        self.victim.proxy.clear()
        done = refused(self.apply(draft, *options), code, name)
        assert self.victim.proxy.mutations() == []
        assert self.everything() == before
        return done

    def other_host(self) -> None:
        """Go on on a host that remembers nothing and has no overlay."""
        shutil.rmtree(self.state)
        shutil.rmtree(self.overlay)
