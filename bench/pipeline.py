"""The demonstrator's pipeline from end to end: `python -m bench.pipeline [--runs N] [--seconds N] [--kernel python]`.

Every stage is a process of its own with real remote calls on loopback (plain TCP): producer, queue, processor (the
native one, compiled for the run), datastore; the accounting is a fifth. First as fast as it goes, in batches of a
thousand; then at 1,000 samples/s, where the time from taking a sample to its commit counts. CPU seconds a million
samples say where the time goes, and hold on a busy machine too: on two cores, 6.6 in all are 300,000 samples/s.
With the Python kernel nothing is compared: targets and baseline are the native one's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tests.support.eventually import eventually
from tests.support.native import compiled_kernels
from tests.support.pipeline import Pipeline

from bench.baselines import Figure, add_save, finish, shown
from bench.machine import table
from inaetics.demonstrator.api import AGENT_STATISTICS, AccountingReport, AgentReport
from inaetics.demonstrator.native import LIBRARY

FAST = 1_000_000
"""Samples a second the producer may make, as many as it can be told: more than can be."""
SLOW = 1_000
PATIENCE_S = 120
TARGET = 300_000
"""Samples a second stored."""
TARGET_CPU_S = 6.6
TARGET_P99_MS = 50.0
STAGES = ("producer", "queue", "processor", "datastore", "accounting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What went through in a time: samples, seconds, CPU seconds of each stage."""

    samples: int
    seconds: float
    cpu_s: dict[str, float]


def start(pipeline: Pipeline, rate: int, kernel: str) -> None:
    pipeline.start("datastore@1", "datastore", "statistics", datastore_bytes=200_000_000)
    pipeline.start("queue@1", "queue", queue_capacity=50_000)
    pipeline.start("accounting@1", "accounting")
    os.environ[LIBRARY] = str(compiled_kernels(pipeline.directory))
    pipeline.start("processor@1", f"processor_{kernel}" if kernel == "native" else "processor")
    pipeline.start("producer@1", "producer", producer_maximum=FAST, producer_rate=rate)
    eventually(lambda: pipeline.report().stored, within_s=PATIENCE_S, what="samples are stored")


def later(pipeline: Pipeline, seconds: float) -> AccountingReport:
    """The first snapshot that is younger than in `seconds`."""
    end_ms = (time.time() + seconds) * 1000
    return eventually(lambda: pipeline.report(after_ms=end_ms), within_s=seconds + PATIENCE_S, what="a later snapshot")


def flow(pipeline: Pipeline, seconds: float) -> Flow:
    """Measure for so long. Raises `AssertionError` when samples do not add up."""
    before = later(pipeline, 0)
    used = {name: pipeline.cpu_s(f"{name}@1") for name in STAGES}
    after = later(pipeline, seconds)
    cpu_s = {name: pipeline.cpu_s(f"{name}@1") - used[name] for name in STAGES}
    assert after.holds, after
    return Flow(samples=after.stored - before.stored, seconds=(after.at_ms - before.at_ms) / 1000, cpu_s=cpu_s)


def latency_ms(pipeline: Pipeline) -> dict[str, float]:
    """From taking a sample to its commit, over the last ten seconds: the datastore's own figures.

    It takes the oldest and the youngest sample of each block, so the percentile errs on the slow side.
    """
    report = msgspec.convert(pipeline.services(AGENT_STATISTICS)["datastore@1"].report(), AgentReport)
    return {stat.name: stat.value for stat in report.stats if stat.name.startswith("latency")}


def measure(rate: int, seconds: float, kernel: str) -> tuple[Flow, dict[str, float]]:
    """One run, in processes of its own: what went through, and the latencies then."""
    with tempfile.TemporaryDirectory(prefix="inaetics-bench-") as directory, Pipeline(Path(directory)) as pipeline:
        start(pipeline, rate, kernel)
        return flow(pipeline, seconds), latency_ms(pipeline)


def figures(fast: Sequence[Flow], latencies: Sequence[dict[str, float]]) -> list[Figure]:
    """What is compared. What 1,000 samples/s cost is mostly waking up, and only shown."""
    wide = [sum(each.cpu_s.values()) / each.samples * 1e6 for each in fast]
    stages = [
        Figure(
            what=f"of that {name}",
            samples=[each.cpu_s[name] / each.samples * 1e6 for each in fast],
            measure="CPU s a million",
        )
        for name in STAGES
    ]
    p50, p99 = ([each[f"latency {p}"] for each in latencies] for p in ("p50", "p99"))
    return [
        Figure(
            what="stored, as fast as it goes",
            samples=[each.samples / each.seconds for each in fast],
            measure="samples/s",
            target=TARGET,
            more=True,
        ),
        Figure(what="what that costs", samples=wide, measure="CPU s a million", target=TARGET_CPU_S),
        *stages,
        Figure(what="produced to stored at 1,000 samples/s, p50", samples=p50, measure="ms"),
        Figure(what="produced to stored at 1,000 samples/s, p99", samples=p99, measure="ms", target=TARGET_P99_MS),
    ]


def main() -> int:
    """Measure and print; returns 1 when a target was missed or something became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each of the two parts of a run")
    parser.add_argument("--kernel", choices=("native", "python"), default="native", help="the processor's")
    add_save(parser)
    given = parser.parse_args()
    fast = [measure(FAST, given.seconds, given.kernel)[0] for _ in range(given.runs)]
    slow, latencies = zip(*(measure(SLOW, given.seconds, given.kernel) for _ in range(given.runs)), strict=True)
    last = (fast[-1], slow[-1])
    rows = [(name, *(f"{each.cpu_s[name] / each.samples * 1e6:.2f}" for each in last)) for name in STAGES]
    rows.append(("all", *(f"{sum(each.cpu_s.values()) / each.samples * 1e6:.2f}" for each in last)))
    rows.append(("stored, samples/s", *(f"{each.samples / each.seconds:,.0f}" for each in last)))
    print(table(("the last run: CPU s a million samples", "as fast as it goes", "1,000 samples/s"), rows), end="\n\n")
    found = figures(fast, latencies)
    if given.kernel != "native":
        print(shown(found))
        return 0
    return finish("pipeline", found, keep=given.save)


if __name__ == "__main__":
    sys.exit(main())
