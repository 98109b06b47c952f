"""Creating: what is missing in the target is found out, told, and made where that is wanted.

Registries say in their own ways that a repository, or what holds it, is not there: ECR by 404,
Harbor by 401 without a challenge, Quay by a token that allows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from airgap_importer.profiles import RegistryProfile
from airgap_importer.pushpermission import Refusals, push_refusals, refuse
from airgap_importer.pushplan import PushPlan
from airgap_shared.errors import AirgapError, Denied, RegistryAuthError, RepositoryMissing
from airgap_shared.stores.ports import ImageTarget, Place, RepositoryCreator

CREATE = "--create-repositories"


@dataclass(frozen=True, slots=True)
class Missing:
    """The places that are missing, outermost first, and the repositories that need them."""

    places: tuple[Place, ...] = ()
    repositories: tuple[str, ...] = ()


class Groundwork:
    """What has to be there in one registry before an import can push; ``host`` is its name.

    ``creator`` is what makes it; None where this tool cannot, and ``obstacle`` says why.
    """

    def __init__(
        self,
        profile: RegistryProfile,
        host: str,
        registry: ImageTarget,
        creator: RepositoryCreator | None,
        obstacle: str,
    ) -> None:
        self._profile = profile
        self._host = host
        self._registry = registry
        self._creator = creator
        self._obstacle = obstacle
        self._untold = creator is None

    def find(self, plan: PushPlan, extra: str, jobs: int) -> Missing:
        """Try in all repositories whether they can be pushed to; nothing stays of it.

        ``extra`` is a repository that is wanted, but can be done without; empty for none.

        Raises:
            RegistryAuthError, RegistryRejected: some cannot, and creating would not help.
            RegistryError: the registry could not be asked.

        """
        refusals = push_refusals(plan.written, self._registry, jobs)
        missing = self._told_by(refusals)
        # What can be pushed to and not read could not be proven afterwards.
        refused = {**plan.unreadable, **refusals}
        standing = {name: one for name, one in refused.items() if name not in missing}
        if standing:
            self._refuse(standing, len(plan.written))
        if missing and extra and extra not in plan.written:
            missing |= self._told_by(push_refusals([extra], self._registry, 1))
        return _gathered(missing)

    def requests(self, places: Sequence[Place]) -> tuple[str, ...]:
        """What to ask an administrator for, one line each."""
        wanted = self._profile.must_exist
        lines = []
        for place in places:
            request = ""
            if wanted is not None and wanted.prefix(place.name) == place.name:
                request = self._profile.request(self._host, place.name)
            lines.append(f"{place}: {request}" if request else str(place))
        return tuple(lines)

    def make(self, missing: Missing, jobs: int, tell: Callable[[Place], None]) -> None:
        """Make what is missing, after :meth:`insist`, and try again whether it can be pushed to.

        Raises:
            RegistryError: something could not be made, or does not help; what was made stays.

        """
        for number, place in enumerate(missing.places):
            self._make(place, missing.places[number:], tell)
        refusals = push_refusals(missing.repositories, self._registry, jobs)
        if refusals:
            refuse(refusals, len(missing.repositories))

    def insist(self, missing: Missing, create: bool) -> None:
        """Insist on what is missing, unless it is to be created and can be.

        Raises:
            RepositoryMissing: all of it, with what to ask an administrator for.

        """
        if missing.places and not (create and self._creator is not None):
            advice = f"add {CREATE}" if self._creator is not None else self._obstacle
            raise self._plea(missing.places, advice)

    def _make(
        self, place: Place, remaining: Sequence[Place], tell: Callable[[Place], None]
    ) -> None:
        assert self._creator is not None  # noqa: S101 - see insist
        try:
            if self._creator.create(place):
                tell(place)
        except RegistryAuthError as refusal:
            raise type(refusal)(
                f"{place} cannot be created: {refusal.what}",
                where=refusal.where,
                next_step=f"{refusal.next_step}, or have an administrator create these",
                details=self.requests(remaining),
            ) from refusal
        except AirgapError as problem:
            problem.explain(next_step="have an administrator create these, and run again")
            problem.details = (*problem.details, *self.requests(remaining))
            raise

    def _refuse(self, refusals: Refusals, count: int) -> NoReturn:
        """Raise them; where they may mean that something is missing, with what that would be."""
        try:
            refuse(refusals, count)
        except Denied as refusal:
            if self._untold and self._profile.must_exist is not None:
                places = dict.fromkeys(self._prerequisite(name) for name in refusals)
                refusal.details = (*refusal.details, *self.requests(tuple(places)))
                refusal.next_step += f"; what is missing, {self._advice(self._obstacle)}"
            raise

    def _advice(self, other: str) -> str:
        return f"have an administrator create{f', or {other}' if other else ''}"

    def _told_by(self, refusals: Refusals) -> dict[str, tuple[Place, ...]]:
        """What is missing for each of the repositories for which something is."""
        found = {}
        for name, refusal in refusals.items():
            told = isinstance(refusal, RepositoryMissing)
            if told or isinstance(refusal, RegistryAuthError):
                places = self._lacking(name, told)
                if not places and told:
                    places = (self._prerequisite(name),)
                if places:
                    found[name] = places
        return found

    def _lacking(self, repository: str, told: bool) -> tuple[Place, ...]:
        if self._creator is None:
            return ()
        try:
            return tuple(self._creator.lacking(repository, told))
        except RegistryAuthError:
            # Whoever may push need not be allowed to ask.
            self._untold = True
            return ()

    def _prerequisite(self, repository: str) -> Place:
        wanted = self._profile.must_exist
        if wanted is None:
            return Place("repository", repository)
        return Place(wanted.noun, wanted.prefix(repository))

    def _plea(self, places: Sequence[Place], advice: str) -> RepositoryMissing:
        names = f"{len(places)} of them" if len(places) > 1 else str(places[0])
        return RepositoryMissing(
            f"{self._profile.title} wants repositories, or what holds them, created before "
            f"anything is pushed: {names}",
            where=self._host,
            next_step=self._advice(advice),
            details=self.requests(places),
        )


def _gathered(lacking: dict[str, tuple[Place, ...]]) -> Missing:
    """Each place once; what holds others first."""
    places = {place: None for found in lacking.values() for place in found}
    ordered = sorted(places, key=lambda place: place.name.count("/"))
    return Missing(tuple(ordered), tuple(name for name, found in lacking.items() if found))
