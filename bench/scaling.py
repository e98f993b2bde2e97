"""How the demonstrator scales itself when its load doubles: `.venv/bin/python -m bench.scaling`.

A cluster of five workers with its images; the work for each sample is such that one processor carries the load before
and not after. Measured from the request that doubles the load, as the page's slider sends it: when the first processor
more was decided, when the queue was at its highest, when it was below the autoscaler's high mark for good; then how
often the number of processors changed while the load stayed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.eventually import eventually
from tests.support.judged_run import set_cost, set_load

from bench.baselines import Figure, add_save, finish
from bench.cluster import cluster
from bench.machine import table

COST_US = 600
BEFORE, AFTER = 20, 40
"""Percent of the producer's 5,000 samples a second: 0.6 of a core, then 1.2."""

EVERY_S = 0.25

TARGET_S = 20.0
"""Until the queue is below its high mark for good."""


@dataclass(slots=True)
class Seen:
    """Readings since the load doubled: seconds, percent of the queue, processors wanted."""

    readings: list[tuple[float, float, int]] = field(default_factory=list)
    high: float = 100.0

    def watch(self, web: str, seconds: float) -> None:
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < seconds:
            percent = float(_page(web, "/systemStats")["queue_percent"])
            scaling = _page(web, "/clusterInfo")["scaling"]
            assert scaling is not None, "no coordinator runs"
            self.high = float(scaling["high_percent"])
            self.readings.append((now, percent, _processors(scaling)))
            time.sleep(EVERY_S)

    @property
    def highest(self) -> float:
        return max(percent for _, percent, _ in self.readings)

    @property
    def back_below_s(self) -> float:
        """When the queue was last above the high mark; 0 when it never was."""
        return max((at for at, percent, _ in self.readings if percent >= self.high), default=0.0)

    @property
    def first_decision_s(self) -> float | None:
        return next((at for at, _, count in self.readings if count > self.readings[0][2]), None)

    @property
    def changes(self) -> int:
        counts = [count for _, _, count in self.readings]
        return sum(one != other for one, other in itertools.pairwise(counts))


def _page(web: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(web + path, timeout=5) as answer:
        content = json.load(answer)
    assert isinstance(content, dict)
    return content


def _processors(scaling: dict[str, Any]) -> int:
    return next(int(each["wanted"]) for each in scaling["sets"] if each["kind"] == "processors")


def figures(doubled: Sequence[Seen], steady: Sequence[Seen]) -> list[Figure]:
    """What is compared. Every run has to do what is promised, not most of them."""
    decided = [first for each in doubled if (first := each.first_decision_s) is not None]
    found = [
        Figure(
            what="the queue is below its high mark for good after",
            samples=[each.back_below_s for each in doubled],
            target=TARGET_S,
            every=True,
        ),
        Figure(what="the queue at its highest", samples=[each.highest for each in doubled], measure="%"),
        Figure(
            what="changes of the number in a minute of steady load",
            samples=[float(each.changes) for each in steady],
            measure="",
            target=0.0,
            every=True,
        ),
        Figure(
            what="runs in which nothing was decided",
            samples=[float(len(doubled) - len(decided))],
            measure="",
            target=0.0,
        ),
    ]
    if decided:
        found.insert(0, Figure(what="the first processor more is decided after", samples=decided))
    return found


def main() -> int:
    """Measure and print; returns 1 when a target was missed or something became worse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    add_save(parser)
    given = parser.parse_args()
    runs, rows = given.runs, []
    every_doubled, every_steady = [], []
    with cluster() as mine:
        mine.run("inaetics", "demo", "--subnet", mine.subnet, timeout_s=900)
        web = eventually(lambda: str(mine.status()["web"]), within_s=60, what="the page has an address")
        set_cost(mine, COST_US)
        for run in range(runs):
            set_load(mine, BEFORE)
            mine.run("inaetics", "scale", "processors", "1")
            mine.run("inaetics", "scale", "--auto", "on")
            settled = Seen()
            settled.watch(web, 30)
            set_load(mine, AFTER)
            doubled, steady = Seen(), Seen()
            doubled.watch(web, 40)
            steady.watch(web, 60)
            every_doubled.append(doubled)
            every_steady.append(steady)
            first = doubled.first_decision_s
            rows.append(
                (
                    f"run {run + 1}",
                    f"{first:.1f} s" if first is not None else "none",
                    f"{doubled.highest:.0f} % (mark {doubled.high:.0f} %)",
                    f"{doubled.back_below_s:.1f} s",
                    f"{settled.readings[-1][2]} → {doubled.readings[-1][2]}",
                    f"{steady.changes}",
                )
            )
    header = ("", "first decision", "queue at most", "below the mark after", "processors", "changes in a minute after")
    print(table(header, rows), end="\n\n")
    return finish("scaling", figures(every_doubled, every_steady), keep=given.save)


if __name__ == "__main__":
    sys.exit(main())
