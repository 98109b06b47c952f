"""Push permission: made sure of in every repository before the first byte is sent to one.

An import that fails in its fifth repository for want of a permission has filled four for nothing.
"""

from __future__ import annotations

from airgap_importer.pushplan import PushPlan
from airgap_shared.errors import RegistryAuthError, RegistryError, RegistryRejected
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageTarget


def check_permission(plan: PushPlan, target: ImageTarget, jobs: int) -> None:
    """Open and cancel an upload in each repository that the plan writes to; in no other.

    Raises:
        RegistryAuthError, RegistryRejected: pushing is not allowed, all such repositories together.
        RegistryError: the registry could not be asked.

    """

    def ask(repository: str) -> RegistryError | None:
        try:
            target.check_push(repository)
        except (RegistryAuthError, RegistryRejected) as refusal:
            return refusal
        return None

    answers = for_each(plan.written, lambda repository, _: ask(repository), jobs)
    refusals = [answer for answer in answers if answer is not None]
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        # What credentials can mend is told before what they cannot.
        first = min(refusals, key=lambda refusal: refusal.exit_code)
        raise type(first)(
            f"{len(refusals)} of {len(plan.written)} repositories cannot be pushed to",
            where=first.where,
            next_step=first.next_step,
            details=[f"{refusal.where}: {refusal.what}" for refusal in refusals],
        ) from first
