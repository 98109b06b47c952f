"""How a run of the adversarial cases stands: outcomes, zeros and figures, and how they read."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from support.cases import Case, CaseList
from support.tally import Tally, Zero


class Outcome(enum.StrEnum):
    """How a case stands."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"
    MISSING = "no test"
    NOT_BUILT = "not built yet"


@dataclass(slots=True)
class Standing:
    """What is known after some tests: outcomes by case, figures by name, violations.

    ``tests`` has the outcomes of the tests of each case: "passed", "failed" or "skipped".
    """

    list: CaseList
    tests: dict[str, Counter[str]] = field(default_factory=dict)
    figures: Counter[str] = field(default_factory=Counter)
    endings: int = 0
    states: int = 0
    violations: dict[Zero, set[str]] = field(default_factory=lambda: {zero: set() for zero in Zero})

    def add_test(self, cases: Iterable[str], outcome: str) -> None:
        """Count a test for the cases it proves."""
        for case in cases:
            self.tests.setdefault(case, Counter())[outcome] += 1

    def add_tally(self, tally: Tally) -> None:
        """Count what was judged during a test."""
        self.endings += tally.endings
        self.states += tally.states
        for zero, text in tally.violations:
            self.violations[zero].add(text)

    def outcome(self, case: Case) -> Outcome:
        """How one case stands."""
        if case.not_built:
            return Outcome.NOT_BUILT
        tests = self.tests.get(case.id)
        if not tests:
            return Outcome.MISSING
        if tests["failed"]:
            return Outcome.FAILED
        return Outcome.SKIPPED if tests["skipped"] else Outcome.PASSED

    @property
    def complete(self) -> bool:
        """Whether every case passes and every zero is zero."""
        passed = all(self.outcome(case) is Outcome.PASSED for case in self.list.cases)
        return passed and not any(self.violations.values())

    def groups(self) -> Iterator[tuple[str, str, int, int]]:
        """Letter, title, how many cases pass, how many there are."""
        for letter, title in self.list.titles.items():
            cases = [case for case in self.list.cases if case.group == letter]
            passed = sum(self.outcome(case) is Outcome.PASSED for case in cases)
            yield letter, title, passed, len(cases)

    def open_cases(self) -> Iterator[tuple[Case, Outcome]]:
        """The cases that do not pass."""
        for case in self.list.cases:
            outcome = self.outcome(case)
            if outcome is not Outcome.PASSED:
                yield case, outcome

    def short(self) -> str:
        """One line about the tests that were run."""
        outcomes = Counter(self.outcome(case) for case in self.list.cases if case.id in self.tests)
        told = ", ".join(f"{outcomes[one]} {one}" for one in Outcome if outcomes[one])
        zeros = ", ".join(f"{len(found)} {zero}" for zero, found in self.violations.items())
        return f"{told or 'none run'} of {len(self.list.cases)} listed; {zeros}"

    def text(self) -> str:
        """All of it, for a terminal."""
        lines = [
            f"{letter}  {title:<28} {passed:>3}/{total}"
            for letter, title, passed, total in self.groups()
        ]
        passed, total = self._sums()
        lines += [f"   {'all':<28} {passed:>3}/{total}", ""]
        lines += [f"{case.id} {outcome}: {case.about}" for case, outcome in self.open_cases()]
        for zero, found in self.violations.items():
            lines.append(f"{len(found):>7,}  {zero}")
            lines += [f"         {text}" for text in sorted(found)]
        lines.append(f"         in {self.endings:,} runs of the commands")
        lines.append(f"         and {self.states:,} comparisons of everything before and after")
        lines += [f"{count:>7,}  {name}" for name, count in sorted(self.figures.items())]
        return "\n".join(lines)

    def page(self, versions: Mapping[str, str], date: str) -> str:
        """All of it, as a page of the documentation."""
        passed, total = self._sums()
        parts = [
            "# Reliability",
            "What was tried against the two commands, and what came of it. This page is written by "
            "`make scoreboard`; change the tests, not the page. The cases are listed in "
            "`tests/adversarial/cases.toml`; each is proven by tests that run the real commands "
            "against real registries, and what a registry holds is read from its storage.",
            f"Run on {date} with " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".",
            "## Cases",
            _table(
                ("group", "", "passed", "of"),
                [*self.groups(), ("", "all", passed, total)],
            ),
            "## What must be zero",
            _table(("", "found"), [(zero, len(found)) for zero, found in self.violations.items()]),
            f"Looked for in {self.endings:,} runs of the commands and {self.states:,} comparisons "
            "of the registry, the overlay and the state before and after.",
            "## Figures",
            _table(("", "count"), sorted(self.figures.items())),
            "## Every case",
            _table(
                ("case", "what is tried, and what must come of it", "outcome", "tests"),
                [
                    (case.id, case.about, self._told(case), sum(self._tests_of(case).values()))
                    for case in self.list.cases
                ],
            ),
        ]
        return "\n\n".join(parts) + "\n"

    def _told(self, case: Case) -> str:
        outcome = self.outcome(case)
        return f"{outcome}: {case.not_built}" if case.not_built else outcome

    def _tests_of(self, case: Case) -> Counter[str]:
        return self.tests.get(case.id, Counter())

    def _sums(self) -> tuple[int, int]:
        groups = [*self.groups()]
        return sum(one[2] for one in groups), sum(one[3] for one in groups)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---:" if name in _NUMBERS else "---" for name in head]]
    lines += [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_NUMBERS = {"passed", "of", "found", "count", "tests"}
