"""The judge of every adversarial run: what must never happen, whatever was tried.

A violation is an assertion that fails and is counted besides, for the scoreboard. The invariants:

I1  nothing that changes something was asked of the registry
I2  what the registry can be asked for is content that was signed for, with its own bytes
I3  no manifest and no tag was made or moved
I4  the overlay and the state are byte for byte as before
I5  the same work with good input succeeds afterwards, with nothing to clean by hand
I6  no secret in anything that is written
I7  at most 10 s of computing and 200 MB of memory
I8  an exit code other than 1 that fits the name of the error; no traceback, death or hang
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from airgap_shared.errors import AirgapError
from support.commands import Finished
from support.registry_storage import RegistryStorage, Snapshot
from support.tally import INTERRUPTED, TALLY, Zero, crashes

_MEMORY = 200_000_000
_SECONDS = 10.0
#: What apply may leave in an overlay directory whatever becomes of it: nothing of it is deployed.
_LEFT_OVER = re.compile(r"\.airgap(/staged(-again)?(/.*)?|/marker\.json|/[^/]*\.partial)?")
_KEPT_STATE = re.compile(r"(.*/)?(state\.json|receipts/.*)")
#: Tags that keep content from the garbage collector; nobody deploys by them.
_KEEP_TAG = re.compile(r"airgap-.*")
#: Tags under which clients list the referrers of a digest.
_LIST_TAG = re.compile(r"sha(256|512)-[0-9a-f]{64}")
_OWN_ARTIFACT = "application/vnd.airgap"
#: What the tool's own artifacts are made of; it comes before them.
_EMPTY_BLOB = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that an import may change: the registry, what can be deployed, what is remembered.

    ``own`` is the content of artifacts that the tool itself writes about an import, ``lists`` that
    of tags under which referrers are listed.
    """

    registry: Snapshot
    overlay: Mapping[str, bytes | None]
    state: Mapping[str, bytes | None]
    own: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, storage: RegistryStorage, overlay: Path | None = None, state: Path | None = None
    ) -> Scene:
        """How things are now; folders may be missing."""
        visible = {
            path: content
            for path, content in _tree(overlay).items()
            if not _LEFT_OVER.fullmatch(path)
        }
        kept = {p: content for p, content in _tree(state).items() if _KEPT_STATE.fullmatch(p)}
        own, lists = frozenset(_own_content(storage)), frozenset(_lists(storage))
        return cls(storage.snapshot(), visible, kept, own, lists)


def judge_ending(done: Finished) -> Finished:
    """Make sure of I8; the same again."""
    faults = list(crashes(done.code, done.out, done.err))
    for fault in faults:
        TALLY.violate(Zero.CRASHED, fault)
    assert not faults, f"{faults}: {done.out}{done.err}"
    if done.code == 0 or done.code in INTERRUPTED:
        return done
    name = error_name(done)
    assert name in _codes(), f"no error that the documentation names: {done.err}"
    assert done.code == _codes()[name], f"{name} with exit code {done.code}"
    return done


def judge_failure(
    done: Finished,
    before: Scene,
    after: Scene,
    signed: Collection[str] = (),
    *,
    late: bool = False,
) -> None:
    """Make sure that a failed run left everything as it was (I2, I3, I4, I8).

    Blobs with the digests ``signed`` may have come. A run that failed ``late``, after everything
    was proven, may have left manifests, the tags that keep them and lists of referrers, too.
    """
    judge_ending(done)
    assert done.code != 0, f"it succeeded: {done.out}"
    TALLY.states += 1
    lists = after.lists if late else frozenset()
    _judge_content(before.registry, after.registry, frozenset(signed) | lists)
    if not late:
        assert after.registry.manifests == before.registry.manifests, "manifests came or went (I3)"
    _judge_same("tags", _tags(before, late), _tags(after, late))
    _judge_same("the overlay", before.overlay, after.overlay)
    _judge_same("the state", before.state, after.state)


def judge_success(
    done: Finished, before: Scene, after: Scene, signed: Collection[str]
) -> frozenset[tuple[str, str, str]]:
    """Make sure that a run succeeded, and brought signed content only (I2, I8).

    Gives the new tags that name signed content: repository, tag, digest.
    """
    judge_ending(done)
    assert done.code == 0, done.err
    TALLY.states += 1
    _judge_content(before.registry, after.registry, frozenset(signed) | after.own | after.lists)
    return frozenset(
        (repository, tag, digest)
        for (repository, tag), digest in after.registry.tags.items()
        if digest in signed and before.registry.tags.get((repository, tag)) != digest
    )


def judge_content(scene: Scene, signed: Collection[str]) -> None:
    """Make sure that everything in a registry of one's own is signed content (I2), at any moment.

    For runs that were killed: they have no ending to judge.
    """
    TALLY.states += 1
    nothing = Snapshot({}, frozenset(), frozenset(), {})
    _judge_content(nothing, scene.registry, frozenset(signed) | scene.own | {_EMPTY_BLOB})


def judge_cost(done: Finished) -> None:
    """Make sure of I7; the command was run to be measured."""
    assert done.peak is not None
    assert done.peak <= _MEMORY, f"{done.peak} bytes of memory"
    assert done.cpu is not None
    assert done.cpu <= _SECONDS, f"{done.cpu} s of computing"


def judge_secrets(secrets: Iterable[str], texts: Iterable[str | bytes]) -> None:
    """Make sure that no secret stands in any of the texts (I6)."""
    for text in texts:
        raw = text.encode() if isinstance(text, str) else text
        for secret in secrets:
            assert secret.encode() not in raw, "a secret was written"


def error_name(done: Finished) -> str:
    """The name of the error that a command reported; empty when it reported none."""
    first = next((line for line in done.err.splitlines() if line.startswith("error: ")), "")
    return first.removeprefix("error: ").partition(":")[0]


def _judge_content(before: Snapshot, after: Snapshot, allowed: frozenset[str]) -> None:
    strangers = sorted(set(after.blobs) - set(before.blobs) - allowed)
    wrong = [f"{named} is {real}" for named, real in after.blobs.items() if named != real]
    for text in (*strangers, *wrong):
        TALLY.violate(Zero.UNVERIFIED, text)
    assert not strangers, f"content that nobody signed for (I2): {strangers}"
    assert not wrong, f"content under a wrong name (I2): {wrong}"


def _judge_same(what: str, before: Mapping[Key, object], after: Mapping[Key, object]) -> None:
    keys = before.keys() | after.keys()
    changed = sorted(str(key) for key in keys if before.get(key, ...) != after.get(key, ...))
    if changed:
        TALLY.violate(Zero.CHANGED, f"{what}: {changed}")
    assert not changed, f"a failed run changed {what}: {changed}"


def _tags(scene: Scene, late: bool) -> dict[tuple[str, str], str]:
    return {
        (repository, tag): digest
        for (repository, tag), digest in scene.registry.tags.items()
        if not late or not (_KEEP_TAG.fullmatch(tag) or _LIST_TAG.fullmatch(tag))
    }


@functools.cache
def _codes() -> Mapping[str, int]:
    """Every error's exit code by its name."""
    classes: Sequence[type[AirgapError]] = [AirgapError]
    found: dict[str, int] = {}
    while classes:
        found.update((one.__name__, one.exit_code) for one in classes)
        classes = [inner for one in classes for inner in one.__subclasses__()]
    return found


def _tree(folder: Path | None) -> dict[str, bytes | None]:
    if folder is None or not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _lists(storage: RegistryStorage) -> Iterator[str]:
    """The digests of lists that only list what is there and refers to what their tag spells."""
    for repository, tag, digest in storage.tagged_ever():
        if not _LIST_TAG.fullmatch(tag):
            continue
        document = json.loads(storage.read_blob(digest))
        entries = document.get("manifests", ())
        there = storage.manifests(repository)
        if entries and all(
            entry["digest"] in there and _subject_tag(storage, entry["digest"]) == tag
            for entry in entries
        ):
            yield digest


def _subject_tag(storage: RegistryStorage, digest: str) -> str:
    subject = json.loads(storage.read_blob(digest)).get("subject", {}).get("digest", "")
    return str(subject).replace(":", "-")[: len("sha256-") + 64]


def _own_content(storage: RegistryStorage) -> Iterator[str]:
    """The digests of artifacts of the tool's own kind, and of what they are made of."""
    for digest in {digest for _, digest in storage.manifest_links()}:
        path = storage.blob_path(digest)
        if not path.is_file() or _OWN_ARTIFACT.encode() not in (raw := path.read_bytes()):
            continue
        manifest = json.loads(raw)
        if str(manifest.get("artifactType", "")).startswith(_OWN_ARTIFACT):
            yield digest
            yield from (one["digest"] for one in (manifest["config"], *manifest["layers"]))
