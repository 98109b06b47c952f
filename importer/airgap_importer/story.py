"""What an import has changed so far, which every failure of it tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airgap_shared.errors import AirgapError

NOTHING_CHANGED = "nothing was changed"


@dataclass(slots=True)
class Story:
    """What was changed so far."""

    changed: str = NOTHING_CHANGED


@contextmanager
def telling() -> Iterator[Story]:
    """Say what was and was not changed, should anything in the block fail or be interrupted."""
    story = Story()
    try:
        yield story
    except AirgapError as problem:
        problem.explain(changed=story.changed)
        raise
    except BaseException as interruption:
        interruption.add_note(story.changed)
        raise
