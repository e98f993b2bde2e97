"""The demonstrator's pipeline from end to end: `python -m bench.pipeline [--seconds N] [--kernel python]`.

Every stage is a process of its own with real remote calls on loopback (plain TCP): producer, queue, processor (the
native one, compiled for the run), datastore; the accounting is a fifth. First as fast as it goes, in batches of a
thousand; then at 1,000 samples/s, where the time from taking a sample to its commit counts. CPU seconds a million
samples say where the time goes, and hold on a busy machine too: on two cores, 6.6 in all are 300,000 samples/s.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tests.support.eventually import eventually
from tests.support.native import compiled_kernels
from tests.support.pipeline import Pipeline

from bench.machine import describe, table
from inaetics.demonstrator.api import AGENT_STATISTICS, AccountingReport, AgentReport
from inaetics.demonstrator.native import LIBRARY

FAST = 2_000_000
"""Samples a second the producer may make: more than can be."""
SLOW = 1_000
PATIENCE_S = 120
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each of the two parts")
    parser.add_argument("--kernel", choices=("native", "python"), default="native", help="the processor's")
    given = parser.parse_args()
    print(describe(), end="\n\n")
    with tempfile.TemporaryDirectory(prefix="inaetics-bench-") as directory, Pipeline(Path(directory)) as pipeline:
        start(pipeline, FAST, given.kernel)
        fast = flow(pipeline, given.seconds)
    with tempfile.TemporaryDirectory(prefix="inaetics-bench-") as directory, Pipeline(Path(directory)) as pipeline:
        start(pipeline, SLOW, given.kernel)
        slow = flow(pipeline, given.seconds)
        took = latency_ms(pipeline)
    rows = [(name, *(f"{each.cpu_s[name] / each.samples * 1e6:.2f}" for each in (fast, slow))) for name in STAGES]
    rows.append(("all", *(f"{sum(each.cpu_s.values()) / each.samples * 1e6:.2f}" for each in (fast, slow))))
    rows.append(("stored, samples/s", *(f"{each.samples / each.seconds:,.0f}" for each in (fast, slow))))
    print(table(("stage, CPU s a million samples", "as fast as it goes", "1,000 samples/s"), rows))
    shown = ", ".join(f"{name.removeprefix('latency ')} {value:.0f} ms" for name, value in took.items())
    print(f"\nfrom taken to committed at 1,000 samples/s: {shown}")


if __name__ == "__main__":
    main()
