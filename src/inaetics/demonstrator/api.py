"""What the demonstrator's bundles agree on: values and service specifications.

It is part of the agents' image, not of a bundle, so that a bundle may be replaced without its peers. Values travel as
arrays in field order (`array_like`): append fields, never reorder them. A remote caller receives plain lists; `msgspec.
convert` makes values of them again. One file, however long: it is the whole agreement, and bundles import only this.
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
PRODUCER = "inaetics.demonstrator.Producer"
PIPELINE_CONTROL = "inaetics.demonstrator.PipelineControl"
ACCOUNTING = "inaetics.demonstrator.Accounting"
COORDINATOR = "inaetics.demonstrator.Coordinator"
CLUSTER_INFO = "inaetics.demonstrator.ClusterInfo"

PERIODIC, BURST = "periodic", "burst"
MODES = (PERIODIC, BURST)
"""Of producers: evenly, or all of a second at once."""


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


class SampleBlock(msgspec.Struct, frozen=True, array_like=True):
    """Samples `first` to `first + count - 1` of one producer, by columns: 8 bytes a sample in each, little endian.

    `time_ms` holds signed integers, the values are floats (`inaetics.demonstrator.blocks` packs and unpacks them).
    """

    producer: str
    first: int
    count: int
    time_ms: bytes
    value1: bytes
    value2: bytes


class ResultBlock(msgspec.Struct, frozen=True, array_like=True):
    """The results of a block of samples, by columns as those are: `processed_ms` integers, `result1` floats."""

    processed_ms: bytes
    result1: bytes
    samples: SampleBlock


class BlockDelivery(msgspec.Struct, frozen=True, array_like=True):
    """As `Delivery`, packed."""

    id: int
    blocks: list[SampleBlock]


class ProducerRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a queue knows of one life of a producer: the samples it was offered, from `first` up to before `frontier`.

    `offered`, `accepted` and `refused` are counted each for itself.
    """

    producer: str
    first: int
    frontier: int
    offered: int
    accepted: int
    refused: int


class Outstanding(msgspec.Struct, frozen=True, array_like=True):
    """Samples a queue holds: `count` from `first` on, waiting or `lent`."""

    producer: str
    first: int
    count: int
    lent: bool


class Cut(msgspec.Struct, frozen=True, array_like=True):
    """Everything a queue knows at one instant. `queue` names its life; `queued` and `in_flight` are its counters;
    `forgotten` is how many lives of producers it no longer tells of (`SampleQueue.forget`)."""

    queue: str
    at_ms: int
    queued: int
    in_flight: int
    producers: list[ProducerRecord]
    outstanding: list[Outstanding]
    forgotten: int = 0


class Ledger(msgspec.Struct, frozen=True, array_like=True):
    """A producer's own count of one of its lives. `undecided`: offered in a call that nobody answered."""

    producer: str
    produced: int
    refused: int
    undecided: int


class Word(msgspec.Struct, frozen=True, array_like=True):
    """Something that a producer or a processor was told: a method of its `PipelineControl`, the value, and how long
    ago."""

    method: str
    value: float | str
    age_s: float


class AccountingReport(msgspec.Struct, frozen=True, array_like=True):
    """One consistent snapshot of all samples offered since `since_ms`.

    `holds` says whether produced == refused + queued + in_flight + stored + lost_with_queue and whether every producer
    that could be asked has counted the same as the queue. `lost_with_queue`: neither refused nor stored, because the
    queue that held them died. `note` says in words what does not hold, or what was left out.
    """

    produced: int
    refused: int
    queued: int
    in_flight: int
    stored: int
    at_ms: int
    holds: bool
    lost_with_queue: int
    since_ms: int
    note: str


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


class ScaleSet(msgspec.Struct, frozen=True, array_like=True):
    """Agents of one kind, `producers` or `processors`: how many shall run, how many do, and within what bounds."""

    kind: str
    wanted: int
    running: int
    least: int
    most: int


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One change of a set, `by` the "autoscaler" or a "person"; `reason` in words."""

    at_ms: int
    kind: str
    before: int
    after: int
    by: str
    reason: str


class Scaling(msgspec.Struct, frozen=True, array_like=True):
    """What the coordinator sees and does. `explanation` says in words what it thinks just now ("queue 62 % and rising
    3 %/s: 2 → 3 processors"); `decisions` are the last ones, newest first; marks are percents of the queue."""

    sets: list[ScaleSet]
    automatic: bool
    explanation: str
    low_percent: float
    high_percent: float
    decisions: list[Decision]


class WentUnit(msgspec.Struct, frozen=True, array_like=True):
    """A unit that ran on a host that is lost, and where it is now; `host` is empty while no machine has it."""

    unit: str
    host: str
    active: str


class ClusterHost(msgspec.Struct, frozen=True, array_like=True):
    """A machine of the cluster. `state`: "up", "cordoned" or "lost"; `offices`: what it is beside a worker, as
    "control host", "engine's leader"; `ran`: what ran on it when it was lost."""

    name: str
    address: str
    state: str
    offices: list[str]
    since_ms: int
    ran: list[WentUnit] = []


class ClusterUnit(msgspec.Struct, frozen=True, array_like=True):
    """A unit and where it is; `host` is empty while no machine has it, and `reason` says why (or why it is there)."""

    name: str
    host: str
    active: str
    sub: str
    since_ms: int
    reason: str


class ClusterEvent(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened. `failover`: for a unit that moved because its machine was lost, the milliseconds of
    each step since the loss: [["detected", 0], ["decided", 12], ["pulled", …], ["started", …], ["active", …]]."""

    id: str
    at_ms: int
    kind: str
    unit: str
    host: str
    text: str
    failover: list[tuple[str, int]]


class Cluster(msgspec.Struct, frozen=True, array_like=True):
    """The cluster as its agents may see it; `events` newest first. `local`: its hosts may be killed from the page.
    `stale` says why this is not current, empty when it is."""

    at_ms: int
    hosts: list[ClusterHost]
    units: list[ClusterUnit]
    events: list[ClusterEvent]
    local: bool
    stale: str


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

    def put_block(self, block: SampleBlock, again: bool = False) -> int:
        """Take as many as fit, from the front; returns how many. The others are refused.

        A producer's blocks follow each other, one call after the other. With `again` the call before got no answer:
        what was accepted then is answered again, and nothing is taken twice. -1: this queue cannot know (it never heard
        of the producer, or the block came late); the block's fate stays open, and nothing was taken now.
        """

    def take_blocks(self, minimum: int, maximum: int, acknowledged: int = 0) -> BlockDelivery:
        """As `take_min_max`, packed; `acknowledge` is the same.

        `acknowledged` is a delivery to acknowledge before anything else: one call less for each.
        """

    def cut(self) -> Cut:
        """Everything the queue knows, at one instant."""

    def forget(self, lives: Sequence[tuple[str, int]]) -> int:
        """Tell no more of these lives of producers, each with the frontier up to which its samples are accounted for.

        Returns how many it lets go of: not one of which it holds samples, or was offered more since. What comes of a
        life that is forgotten is a call given up long ago, and answered with -1.
        """


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

    def store_blocks(self, blocks: Sequence[ResultBlock]) -> int:
        """As `store_all`, packed: keep all, each sample once; returns how many samples were new."""

    def count(self, cut: Cut) -> int:
        """Distinct samples of the cut's producers, `first` to before `frontier`, that are not outstanding in it and
        that were stored, whether they are still there or were let go of to make room."""


class Producer(Protocol):
    """A source of samples; remote."""

    def rate(self) -> float:
        """Samples a second it shall make."""

    def maximum(self) -> float:
        """The largest rate, samples a second."""

    def set_rate(self, rate: float) -> None:
        """Set the rate, 0 to the maximum. Raises `InvalidInput`."""

    def set_mode(self, mode: str) -> None:
        """Set one of `MODES`. Raises `InvalidInput`."""

    def clock_ms(self) -> float:
        """What the clock that its samples' times are of says now, Unix milliseconds."""

    def at(self, producer: str, frontier: int) -> Ledger | None:
        """Its count when it had offered the samples before `frontier` and been answered; frontier -1: its last.

        None when `producer` is none of its lives, or it was not answered yet, or it is too long ago.
        """


class PipelineControl(Protocol):
    """What can be set at producers and processors alike; remote. What does not concern one changes nothing there."""

    def set_utilisation(self, percent: float) -> None:
        """Make producers produce at 0 to 100 % of their maximum rate. Raises `InvalidInput`."""

    def rate(self) -> float:
        """Samples a second: those a producer shall make, those a processor made lately."""

    def set_cost(self, us: float) -> None:
        """Make processors compute so many µs of processor time for each sample. Raises `InvalidInput`."""

    def set_mode(self, mode: str) -> None:
        """Make producers produce in one of `MODES`. Raises `InvalidInput`."""

    def told(self) -> list[Word]:
        """The last word of each of the three setters, also those that do not concern it; nothing it began with."""


class Accounting(Protocol):
    """The sum over the whole pipeline; remote."""

    def latest(self) -> AccountingReport | None:
        """The last snapshot; None before the first."""


class Coordinator(Protocol):
    """Scales the pipeline through the fleet's API; local to felix@1's agent."""

    def scaling(self) -> Scaling:
        """What it sees and does, from memory."""

    def scale(self, kind: str, count: int, *, token: str) -> Scaling:
        """Have `count` agents of a kind; a person's wish, so it ends automatic scaling of that kind.

        Raises `InvalidInput` (unknown kind, beyond the bounds), `Forbidden` (not the cluster's token), `Unavailable`.
        """

    def set_automatic(self, on: bool, *, token: str) -> Scaling:
        """Switch the autoscaler on or off. Raises as `scale`."""

    def permit(self, token: str) -> None:
        """Return when `token` is the cluster's; raises `Forbidden`, `Unavailable`."""


class ClusterInfo(Protocol):
    """The cluster around the demonstrator; local to felix@1's agent."""

    def cluster(self) -> Cluster | None:
        """As last heard, from memory; None before the first time."""

    def kill(self, host: str, *, token: str) -> None:
        """Kill everything on a host of a cluster that runs locally, as a power cut does.

        Raises `InvalidInput` (no such host; hosts that are real machines), `Forbidden`, `Unavailable`.
        """

    def start(self, host: str, *, token: str) -> None:
        """Switch a killed host on again. Raises as `kill`."""


class StatsProvider(Protocol):
    """Figures of one bundle; local to its agent."""

    def stats(self) -> list[Stat]: ...


class AgentStatistics(Protocol):
    """Everything one agent reports; remote."""

    def report(self) -> AgentReport: ...
