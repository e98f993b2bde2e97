"""Figures with their spread, what they must reach, and what they were before on the same machine.

A baseline is `bench/baselines/<machine>.json`, with the machine's description; it is written by `--save` only. A median
worse than the baseline's by more than a fifth is a regression, unless it is in the scheduler's grain.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import describe, table

FOLDER = Path(__file__).parent / "baselines"
WORSE = 1.20
GRAIN = {"s": 0.03, "MB": 2.0, "CPU s/min": 0.1, "CPU s": 0.2, "": 0.0}
"""Differences below these mean nothing, by unit of measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something measured several times. `target` is what it must reach (lower is better), None where nothing is set."""

    what: str
    samples: Sequence[float]
    measure: str = "s"
    target: float | None = None
    fleet: str = ""
    """The original's, measured on this kind of machine."""
    swarm: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def reached(self) -> bool:
        return self.target is None or self.median <= self.target

    def row(self) -> tuple[str, ...]:
        spread = f" ({_short(min(self.samples))}-{_short(max(self.samples))})" if len(self.samples) > 1 else ""
        goal = "" if self.target is None else f"{self.target:g} {self.measure}{'' if self.reached else ' **missed**'}"
        measured = f"{_short(self.median)} {self.measure}{spread}".strip()
        return (self.what, measured, goal.strip(), self.fleet, self.swarm)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def shown(figures: Iterable[Figure]) -> str:
    """The Markdown table."""
    return table(
        ("what", "median (lowest-highest)", "to reach", "original fleet", "Swarm"), [each.row() for each in figures]
    )


def path_of(bench: str) -> Path:
    """Where this machine's baseline of a bench is."""
    slug = re.sub(r"[^a-z0-9]+", "-", describe().split(", Linux")[0].lower()).strip("-")
    return FOLDER / f"{slug}.{bench}.json"


def save(bench: str, figures: Iterable[Figure]) -> Path:
    """Make these figures the machine's baseline; figures that were not measured now stay."""
    path = path_of(bench)
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text())["figures"] if path.exists() else {}
    now = {each.what: {"median": each.median, "samples": list(each.samples)} for each in figures}
    path.write_text(json.dumps({"machine": describe(), "figures": before | now}, indent=1, ensure_ascii=False) + "\n")
    return path


def regressions(bench: str, figures: Iterable[Figure]) -> list[str]:
    """What became worse than the machine's baseline, for people; empty without one."""
    path = path_of(bench)
    if not path.exists():
        return []
    before = json.loads(path.read_text())["figures"]
    found = []
    for each in figures:
        old = before.get(each.what, {}).get("median")
        if old is not None and each.median > old * WORSE + GRAIN.get(each.measure, 0.0):
            found.append(f"{each.what}: {_short(each.median)} {each.measure}, the baseline is {_short(old)}")
    return found


def finish(bench: str, figures: Sequence[Figure], *, keep: bool) -> int:
    """Print the table, what missed its target and what regressed; returns the exit status."""
    print(describe(), end="\n\n")
    print(shown(figures))
    missed = [each for each in figures if not each.reached]
    for each in missed:
        print(f"MISSED {each.what}: {_short(each.median)} {each.measure}, to reach {each.target:g}")
    worse = regressions(bench, figures)
    for line in worse:
        print(f"REGRESSION {line}")
    if keep:
        print(f"baseline written: {save(bench, figures)}")
    return int(bool(missed) or (bool(worse) and not keep))
