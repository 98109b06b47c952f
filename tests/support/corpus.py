"""Real manifests with hand-judged references: beside the checkout, or where AIRGAP_CORPUS says."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "corpus"


@dataclass(frozen=True, slots=True)
class Project:
    """One project of the corpus."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def truth(self, key: str) -> list[dict[str, object]]:
        """One list of the judgement, such as ``images`` or ``traps``."""
        document = json.loads((self.folder / "truth.json").read_text())
        return cast(list[dict[str, object]], document.get(key, []))


def find_projects() -> list[Project]:
    """Every project of the corpus; none when there is no corpus here."""
    root = Path(os.environ.get("AIRGAP_CORPUS") or _BESIDE)
    if not root.is_dir():
        return []
    return [
        Project(folder) for folder in sorted(root.iterdir()) if (folder / "truth.json").exists()
    ]


def corpus_parameters() -> list[object]:
    """The projects as parameters of a test; a skipped one when there is no corpus."""
    projects = find_projects()
    if not projects:
        return [pytest.param(None, marks=pytest.mark.skip("no corpus: set AIRGAP_CORPUS"))]
    return [pytest.param(project, id=project.name) for project in projects]
