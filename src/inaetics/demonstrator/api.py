"""What the demonstrator's bundles agree on: values and service specifications.

It is part of the agents' image, not of a bundle, so that a bundle may be replaced without its peers. Values travel as
arrays in field order (`array_like`): append fields, never reorder them. A remote caller receives plain lists; `msgspec.
convert` makes values of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

SAMPLE_QUEUE = "inaetics.demonstrator.SampleQueue"
PROCESSOR = "inaetics.demonstrator.Processor"
DATA_STORE = "inaetics.demonstrator.DataStore"
STATS_PROVIDER = "inaetics.demonstrator.StatsProvider"
AGENT_STATISTICS = "inaetics.demonstrator.AgentStatistics"


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """Two measured values. `producer` and `sequence` together identify a sample for ever."""

    time_ms: int
    value1: float
    value2: float
    producer: str
    sequence: int


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What a processor made of a sample; `processed_ms` is Unix milliseconds."""

    processed_ms: int
    result1: float
    sample: Sample


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """Samples lent by the queue. They come back to it unless `id` is acknowledged in time; an empty one has id 0."""

    id: int
    samples: list[Sample]


class Stat(msgspec.Struct, frozen=True, array_like=True):
    """One figure. `type` is "counter" (only ever grows while its provider lives) or "gauge"."""

    name: str
    type: str
    unit: str
    value: float


class AgentReport(msgspec.Struct, frozen=True, array_like=True):
    """What one node agent says of itself: who and where it is, what it runs, and its figures now."""

    agent: str
    host: str
    address: str
    bundles: list[str]
    stats: list[Stat]


class SampleQueue(Protocol):
    """A bounded buffer between producers and processors; remote."""

    def put(self, sample: Sample) -> bool:
        """Take one sample; False when the queue is full."""

    def put_all(self, samples: Sequence[Sample]) -> int:
        """Take as many as fit, from the front; returns how many. The others are the caller's still."""

    def take(self) -> Delivery:
        """Lend one sample, waiting for it up to the queue's longest wait."""

    def take_min_max(self, minimum: int, maximum: int) -> Delivery:
        """Lend `minimum` to `maximum` samples, waiting for the minimum up to the queue's longest wait."""

    def acknowledge(self, delivery_id: int) -> bool:
        """Say that a delivery was dealt with for good; False when it had been given back already."""


class Processor(Protocol):
    """Makes a result of a sample; local to its agent."""

    def process(self, sample: Sample) -> Result: ...


class DataStore(Protocol):
    """Keeps results; remote. Storing a sample's result twice keeps one."""

    def store(self, result: Result) -> int: ...

    def store_all(self, results: Sequence[Result]) -> int:
        """Keep all; returns how many were new."""

    def find_between(self, begin_ms: int, end_ms: int) -> list[Result]:
        """Results of samples taken at or after `begin_ms` and before `end_ms` (Unix milliseconds), oldest first."""


class StatsProvider(Protocol):
    """Figures of one bundle; local to its agent."""

    def stats(self) -> list[Stat]: ...


class AgentStatistics(Protocol):
    """Everything one agent reports; remote."""

    def report(self) -> AgentReport: ...
