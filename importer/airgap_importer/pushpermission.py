"""Push permission: made sure of in every repository before the first byte is sent to one.

An import that fails in its fifth repository for want of a permission has filled four for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from airgap_shared.errors import RegistryAuthError, RegistryError, RegistryRejected
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageTarget

Refusals = Mapping[str, RegistryError]


def push_refusals(repositories: Sequence[str], target: ImageTarget, jobs: int) -> Refusals:
    """Open and cancel an upload in each repository: those that cannot be pushed to, and why.

    Raises:
        RegistryError: the registry could not be asked.

    """

    def ask(repository: str) -> RegistryError | None:
        try:
            target.check_push(repository)
        except (RegistryAuthError, RegistryRejected) as refusal:
            return refusal
        return None

    answers = for_each(repositories, lambda repository, _: ask(repository), jobs)
    return {
        repository: answer
        for repository, answer in zip(repositories, answers, strict=True)
        if answer is not None
    }


def refuse(refusals: Refusals, count: int) -> NoReturn:
    """Raise one error for all of the refusals among ``count`` repositories."""
    if len(refusals) == 1:
        raise next(iter(refusals.values()))
    # What credentials can mend is told before what they cannot.
    first = min(refusals.values(), key=lambda refusal: refusal.exit_code)
    raise type(first)(
        f"{len(refusals)} of {count} repositories cannot be pushed to",
        where=first.where,
        next_step=first.next_step,
        details=[f"{refusal.where}: {refusal.what}" for refusal in refusals.values()],
    ) from first
