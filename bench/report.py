"""What the runs took, compared: medians, and ratios pair by pair."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took.

    ``wall`` and ``cpu`` are seconds, ``cpu`` of the client and its children; all else is bytes:
    ``largest`` the peak of memory of the largest process, ``together`` that of all at once,
    ``written`` what the kernel was given to write to disks, ``left`` the files in the step's folder
    at its end,
    ``sent`` what an import says it sent.
    """

    wall: float
    cpu: float
    largest: int
    together: int
    written: int
    left: int
    sent: int | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Runs of ours and of the peer's, in the order of the rounds."""

    ours: Sequence[Cost]
    peer: Sequence[Cost]

    def ratios(self, value: Callable[[Cost], float]) -> list[float]:
        """Ours by the peer's, for each round."""
        return [value(ours) / value(peer) for ours, peer in zip(self.ours, self.peer, strict=True)]


Results = Mapping[str, Pairs]


def report_text(title: str, results: Results) -> str:
    """A table for people."""
    head = (
        f"{'':<24}{'s':>8}{'cpu s':>8}{'largest MB':>12}{'together MB':>13}"
        f"{'written MB':>12}{'left MB':>10}{'sent MB':>10}"
    )
    lines = [title, head]
    for step, pairs in results.items():
        lines += [_line(step, pairs.ours), _line(f"{step}, peer", pairs.peer), _verdict(pairs), ""]
    return "\n".join(lines)


def report_document(results: Results) -> dict[str, object]:
    """The same for programs, every run included."""
    return {
        step: {
            "ours": [asdict(cost) for cost in pairs.ours],
            "peer": [asdict(cost) for cost in pairs.peer],
            "ratio": _spread(pairs.ratios(_wall)),
            "cpuRatio": _spread(pairs.ratios(_cpu)),
        }
        for step, pairs in results.items()
    }


def _line(label: str, costs: Sequence[Cost]) -> str:
    def median(value: Callable[[Cost], float]) -> float:
        return statistics.median(map(value, costs))

    sent = [cost.sent for cost in costs if cost.sent is not None]
    return (
        f"  {label:<22}{median(_wall):8.2f}{median(_cpu):8.2f}"
        f"{max(cost.largest for cost in costs) / _MB:12.0f}"
        f"{max(cost.together for cost in costs) / _MB:13.0f}"
        f"{median(lambda cost: cost.written) / _MB:12.1f}"
        f"{median(lambda cost: cost.left) / _MB:10.1f}"
        + (f"{statistics.median(sent) / _MB:10.1f}" if sent else "")
    )


def _verdict(pairs: Pairs) -> str:
    wall, cpu = _spread(pairs.ratios(_wall)), _spread(pairs.ratios(_cpu))
    return (
        f"  → {wall['median']:.3f} of the peer's time ({wall['least']:.3f} to {wall['most']:.3f}), "
        f"{cpu['median']:.3f} of its CPU"
    )


def _spread(ratios: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def _wall(cost: Cost) -> float:
    return cost.wall


def _cpu(cost: Cost) -> float:
    return cost.cpu
