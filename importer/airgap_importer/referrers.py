"""Lists of referrers that are ours to keep: found out before a push, written after it.

Registries with the referrers API list by themselves what has a subject. In others every client
that pushes such a manifest enters it in the list under a tag (oci/referrers.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from airgap_importer.lookups import LenientLookup
from airgap_shared.errors import (
    ReferrersTagConflict,
    RegistryIntegrity,
    RegistryRejected,
    TagImmutable,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.oci.referrers import ReferrersList, referrers_tag
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageLookup, ImageTarget

_TRIES = 3


@dataclass(frozen=True, slots=True)
class DueList:
    """A list in one repository, and the manifests that have to be in it and may not be."""

    repository: str
    subject: Digest
    referrers: tuple[Manifest | Index, ...]

    @property
    def tag(self) -> str:
        """The tag under which it stands."""
        return referrers_tag(self.subject)

    @property
    def where(self) -> str:
        """The tag as messages name it."""
        return f"{self.repository}:{self.tag}"


def lists_in(repository: str, manifests: Sequence[Manifest | Index]) -> tuple[DueList, ...]:
    """The lists in which these manifests belong, each once."""
    lists: dict[str, DueList] = {}
    for manifest in manifests:
        if manifest.subject is not None:
            new = DueList(repository, manifest.subject.digest, (manifest,))
            known = lists.get(new.tag)
            if known is not None:
                new = replace(known, referrers=(*known.referrers, manifest))
            lists[new.tag] = new
    return tuple(lists.values())


def due_lists(
    lists: Sequence[DueList],
    missing: Collection[tuple[str, Digest]],
    lookup: ImageLookup,
    jobs: int,
) -> tuple[DueList, ...]:
    """What the lists lack and the registry does not enter itself, as far as can be known.

    For manifests in ``missing`` (by repository) only the answer to their push tells.

    Raises:
        ReferrersTagConflict: tags that hold something else; all of them together.

    """

    def due(wanted: DueList) -> DueList | ReferrersTagConflict:
        unsure = {
            one.digest for one in wanted.referrers if (wanted.repository, one.digest) in missing
        }
        try:
            return _due(wanted, unsure, lookup)
        except ReferrersTagConflict as conflict:
            return conflict

    found = for_each(lists, lambda wanted, _: due(wanted), jobs)
    conflicts = [one for one in found if isinstance(one, ReferrersTagConflict)]
    if len(conflicts) == 1:
        raise conflicts[0]
    if conflicts:
        raise ReferrersTagConflict(
            f"{len(conflicts)} tags have to list referrers and cannot",
            where=conflicts[0].where,
            next_step=conflicts[0].next_step,
            details=[f"{conflict.where}: {conflict.what}" for conflict in conflicts],
        ) from conflicts[0]
    return tuple(one for one in found if isinstance(one, DueList) and one.referrers)


def _due(wanted: DueList, unsure: Collection[Digest], lookup: ImageLookup) -> DueList:
    conflict = None
    try:
        listed = _read(wanted, lookup)
        lacking = listed.lacking(wanted.referrers)
        listed.extended(lacking)
    except ReferrersTagConflict as problem:
        conflict, lacking = problem, wanted.referrers
    known = [one for one in lacking if one.digest not in unsure]
    if (conflict or known) and lookup.lists_referrers(wanted.repository, wanted.subject):
        return replace(wanted, referrers=tuple(one for one in lacking if one.digest in unsure))
    if conflict:
        raise conflict
    return replace(wanted, referrers=lacking)


@dataclass(slots=True)
class ReferrersKeeper:
    """Enters pushed manifests in the lists that the registry does not keep itself."""

    target: ImageTarget
    due: Sequence[DueList]
    _entered: set[tuple[str, Digest]] = field(default_factory=set)

    def pushed(self, repository: str, manifest: Manifest | Index, subject: Digest | None) -> None:
        """Take note of the ``subject`` that the registry named when it took a manifest."""
        if manifest.subject is not None and subject == manifest.subject.digest:
            self._entered.add((repository, manifest.digest))

    def write(self, repository: str) -> None:
        """Bring the lists of a repository up to date, once its manifests are there.

        Raises:
            ReferrersTagConflict: a tag holds something else meanwhile; it stays so.
            RegistryIntegrity: what is entered is gone again, time after time.

        """
        for wanted in self.due:
            if wanted.repository == repository and (ours := self._ours(wanted)):
                self._extend(replace(wanted, referrers=ours))

    def _ours(self, wanted: DueList) -> tuple[Manifest | Index, ...]:
        """Those that the registry did not enter by itself."""
        return tuple(
            one for one in wanted.referrers if (wanted.repository, one.digest) not in self._entered
        )

    def _extend(self, wanted: DueList) -> None:
        """Read, extend, write, and look: others may write the list at the same time."""
        lookup = LenientLookup(self.target)
        for _ in range(_TRIES):
            listed = _read(wanted, lookup)
            if not listed.lacking(wanted.referrers):
                return
            self._put(wanted, listed.extended(wanted.referrers))
        if _read(wanted, lookup).lacking(wanted.referrers):
            raise RegistryIntegrity(
                f"the list of referrers was written {_TRIES} times and does not keep its entries",
                where=wanted.where,
                next_step="run again; another client may be writing the same list",
            )

    def _put(self, wanted: DueList, raw: bytes) -> None:
        try:
            self.target.put_manifest(wanted.repository, wanted.tag, raw, mediatype.OCI_INDEX)
        except TagImmutable as problem:
            problem.explain(
                next_step="exempt tags that begin with sha256- or sha512- from being immutable: "
                "lists of referrers have to grow"
            )
            raise
        except RegistryRejected as problem:
            problem.explain(
                next_step="an entry of this list of referrers may name a manifest that is gone: "
                "push it again, or delete the tag if nobody needs the list"
            )
            raise


def _read(wanted: DueList, lookup: ImageLookup) -> ReferrersList:
    try:
        found = lookup.get_manifest(wanted.repository, wanted.tag)
    except RegistryIntegrity as problem:
        raise ReferrersTagConflict(
            f"the tag is no list of referrers: {problem.what}", where=wanted.where
        ) from problem
    if found is None:
        return ReferrersList.empty(wanted.where)
    return ReferrersList.parse(found.raw, found.media_type, wanted.where)
