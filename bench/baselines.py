"""Figures with their spread, what they must reach, and what they were before on the same machine.

A baseline is `bench/baselines/<machine>.json`, with the machine's description; it is written by `--save` only. A median
worse than the baseline's by more than a fifth is a regression, unless it is in the scheduler's grain.
"""

from __future__ import annotations

import json
import re
import statistics
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import describe, table

FOLDER = Path(__file__).parent / "baselines"
WORSE = 1.20
GRAIN = {"s": 0.03, "ms": 0.05, "MB": 2.0, "CPU s/min": 0.1, "CPU s": 0.2, "% of a core": 1.0, "%": 2.0}
"""Differences below these mean nothing, by unit of measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something measured several times. `target` is what it must reach, None where nothing is set.

    Less is better, unless `more` is. The median counts, unless `every` run has to reach the target.
    """

    what: str
    samples: Sequence[float]
    measure: str = "s"
    target: float | None = None
    more: bool = False
    every: bool = False
    fleet: str = ""
    """The original's, measured on this kind of machine."""
    swarm: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def judged(self) -> float:
        """What is held against the target."""
        if not self.every:
            return self.median
        return min(self.samples) if self.more else max(self.samples)

    @property
    def reached(self) -> bool:
        if self.target is None:
            return True
        return self.judged >= self.target if self.more else self.judged <= self.target

    def is_worse_than(self, before: float) -> bool:
        """By more than a fifth, and by more than the grain."""
        grain = GRAIN.get(self.measure, 0.0)
        return self.median < before / WORSE - grain if self.more else self.median > before * WORSE + grain

    def row(self) -> tuple[str, ...]:
        spread = f" ({_short(min(self.samples))}-{_short(max(self.samples))})" if len(self.samples) > 1 else ""
        goal = "" if self.target is None else f"{_short(self.target)} {self.measure}"
        goal = f"{'at least ' * self.more * bool(goal)}{goal.strip()}{'' if self.reached else ' **missed**'}"
        measured = f"{_short(self.median)} {self.measure}{spread}".strip()
        return (self.what, measured, goal, self.fleet, self.swarm)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def shown(figures: Sequence[Figure]) -> str:
    """The Markdown table, with columns of the peers where any was measured."""
    header = ("what", "median (lowest-highest)", "to reach", "original fleet", "Swarm")
    columns = 5 if any(each.fleet or each.swarm for each in figures) else 3
    return table(header[:columns], [each.row()[:columns] for each in figures])


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
        if old is not None and each.is_worse_than(old):
            found.append(f"{each.what}: {_short(each.median)} {each.measure}, the baseline is {_short(old)}")
    return found


def add_save(parser: ArgumentParser) -> None:
    """The option that makes a run the baseline."""
    parser.add_argument("--save", action="store_true", help="make the figures this machine's baseline")


def finish(bench: str, figures: Sequence[Figure], *, keep: bool) -> int:
    """Print the table, what missed its target and what regressed; returns the exit status."""
    print(describe(), end="\n\n")
    print(shown(figures))
    missed = [each for each in figures if not each.reached]
    for each in missed:
        print(f"MISSED {each.what}: {_short(each.judged)} {each.measure}, to reach {_short(each.target or 0)}")
    worse = regressions(bench, figures)
    for line in worse:
        print(f"REGRESSION {line}")
    if keep:
        print(f"baseline written: {save(bench, figures)}")
    return int(bool(missed) or (bool(worse) and not keep))
