"""A demonstrator that is made up: agents, a pipeline, a cluster whose hosts die, all lively and none of it real.

For the page, its tests and whoever works on it: everything the viewer asks of other bundles is here, in one process.
`World.step` moves it by a time; nothing in it reads a clock.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from inaetics.demonstrator.api import (
    AccountingReport,
    AgentReport,
    Cluster,
    ClusterEvent,
    ClusterHost,
    ClusterUnit,
    Decision,
    ScaleSet,
    Scaling,
    Stat,
    WentUnit,
)
from inaetics.demonstrator.settings import within
from inaetics.errors import Forbidden, InvalidInput
from inaetics.fleet.events import Kind, Timeline

TOKEN = "test-token"
HOSTS = 5
CAPACITY = 20_000
MAXIMUM = 5_000.0
LOW, HIGH = 20.0, 60.0
MOST = {"producers": 4, "processors": 60}

LOST_AFTER_S = 5.4
ACTIVE_AFTER_S = 8.1
LINE = Timeline(detected_at=0.0, decided_ms=14, pulled_ms=31, started_ms=420, active_ms=1290)
"""What the fleet tells of a failover; a few milliseconds are added to every step after the loss."""


@dataclass(slots=True, eq=False)
class Fake:
    """One made-up agent."""

    world: World
    name: str
    role: str
    host: str
    percent: float = 40.0
    cost_us: float = 200.0
    counts: dict[str, float] = field(default_factory=dict)
    hangs: threading.Event | None = None

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    def report(self) -> AgentReport:
        if self.hangs is not None:
            self.hangs.wait()
        bundles = {"datastore": ["accounting 1.0.0", "datastore 1.0.0", "viewer 1.0.0"]}.get(
            self.role, [f"{self.role} 1.0.0"]
        )
        return AgentReport(
            self.name, self.host, self.world.address(self.host), [*bundles, "statistics 1.0.0"], self.world.stats(self)
        )

    def set_utilisation(self, percent: float) -> None:
        self._wait()
        self.percent = within(percent, 100, "a utilisation", "%")

    def set_cost(self, us: float) -> None:
        self._wait()
        self.cost_us = within(us, 1_000_000, "a cost", "µs")

    def rate(self) -> float:
        return 0.0

    def _wait(self) -> None:
        if self.hangs is not None:
            self.hangs.wait()


class World:
    """Everything. Its lock is held for microseconds; `came` and `went` are called when agents come and go."""

    def __init__(self, agents: int = 8, *, hanging: int = 0, holds: bool = True, start_ms: int = 0) -> None:
        self.lock = threading.RLock()
        self.now_ms = self.start_ms = start_ms
        self.end = threading.Event()
        self.came: Callable[[Fake], None] = lambda fake: None
        self.went: Callable[[Fake], None] = lambda fake: None
        self.fakes: dict[str, Fake] = {}
        self._at_start = max(agents - 3, 1)
        self.wanted = {"producers": 1, "processors": max(agents - 3, 1)}
        self.automatic = True
        self._holds = holds
        self._hanging = hanging
        self._quiet_s = 0.0
        self.queued = 0.0
        self.refused_total = self.produced_total = self.stored_total = 0.0
        self.decisions: deque[Decision] = deque(maxlen=20)
        self.events: deque[ClusterEvent] = deque(maxlen=100)
        self.hosts: dict[str, tuple[str, int]] = {
            f"worker-{n}": ("up", start_ms - 600_000) for n in range(1, HOSTS + 1)
        }
        self.lost: dict[str, float] = {}
        self.ran: dict[str, list[str]] = {}
        """What ran on hosts that died, by names of agents."""
        self._since: dict[str, int] = {}
        self._number = 0

    def address(self, host: str) -> str:
        return f"127.17.8.{100 + int(host.rpartition('-')[2])}"

    def populate(self) -> None:
        with self.lock:
            self._add("felix@1", "datastore", "worker-1")
            self._add("felix@2", "queue", "worker-2")
            self._fit()
            hanging = [fake for fake in self.fakes.values() if fake.role == "processor"][-self._hanging :]
            for fake in hanging if self._hanging else []:
                fake.hangs = self.end

    def stats(self, fake: Fake) -> list[Stat]:
        """What an agent of a role reports."""
        with self.lock:
            count = fake.counts
            match fake.role:
                case "producer":
                    return [
                        Stat("produced", "counter", "samples", round(count.get("produced", 0))),
                        Stat("refused", "counter", "samples", round(count.get("refused", 0))),
                        Stat("rate set", "gauge", "samples/s", MAXIMUM * fake.percent / 100),
                        Stat("utilisation", "gauge", "%", fake.percent),
                    ]
                case "processor":
                    return [
                        Stat("processed", "counter", "samples", round(count.get("processed", 0))),
                        Stat("cost", "gauge", "µs", fake.cost_us),
                    ]
                case "queue":
                    return [
                        Stat("queued", "gauge", "samples", round(self.queued) - self._in_flight()),
                        Stat("in flight", "gauge", "samples", self._in_flight()),
                        Stat("fill", "gauge", "%", round(self.queued / CAPACITY * 100, 1)),
                        Stat("capacity", "gauge", "samples", CAPACITY),
                    ]
                case _:
                    wait = 8 + self.queued / max(self._processing(), 1) * 1000
                    return [
                        Stat("stored", "counter", "samples", round(self.stored_total)),
                        Stat("store size", "gauge", "MB", round(self.stored_total * 45e-6, 2)),
                        Stat("latency p50", "gauge", "ms", round(wait)),
                        Stat("latency p99", "gauge", "ms", round(wait * 2.3 + 9)),
                        Stat("accounting holds", "gauge", "", float(self._holds)),
                    ]

    def step(self, seconds: float) -> None:
        """Let so much time pass."""
        with self.lock:
            self.now_ms += round(seconds * 1000)
            self._flow(seconds)
            self._autoscale(seconds)
            for host, at_ms in list(self.lost.items()):
                self._fail_over(host, (self.now_ms - at_ms) / 1000)

    # --- the services that the viewer uses

    def latest(self) -> AccountingReport:
        with self.lock:
            in_flight = self._in_flight()
            queued = round(self.queued) - in_flight
            stored, refused = round(self.stored_total), round(self.refused_total)
            produced = refused + queued + in_flight + stored + (0 if self._holds else 137)
            note = "" if self._holds else "137 samples are neither refused, held nor stored"
            return AccountingReport(
                produced, refused, queued, in_flight, stored, self.now_ms, self._holds, 0, self.start_ms, note
            )

    def scaling(self) -> Scaling:
        with self.lock:
            fill = self.queued / CAPACITY * 100
            sets = [
                ScaleSet(kind, self.wanted[kind], len(self._running(kind[:-1])), 1, MOST[kind]) for kind in self.wanted
            ]
            words = f"queue {fill:.0f} %: " + ("too many wait" if fill > HIGH else "nothing to change")
            return Scaling(sets, self.automatic, words, LOW, HIGH, list(self.decisions))

    def scale(self, kind: str, count: int, *, token: str) -> Scaling:
        self.permit(token)
        with self.lock:
            if kind not in MOST:
                raise InvalidInput(f"cannot scale {kind!r}: there are producers and processors")
            if not 1 <= count <= MOST[kind]:
                raise InvalidInput(f"cannot run {count} {kind}: {HOSTS} workers have room for 1 to {MOST[kind]}")
            self._decide(kind, count, "person", "asked for on the page")
            self.automatic = False
        return self.scaling()

    def set_automatic(self, on: bool, *, token: str) -> Scaling:
        self.permit(token)
        self.automatic = on
        return self.scaling()

    def permit(self, token: str) -> None:
        if token != TOKEN:
            raise Forbidden("this is not the cluster's token (its owner reads it in <cluster>/pki/token)")

    def cluster(self) -> Cluster:
        with self.lock:
            offices = {"worker-1": ["control host", "engine's leader"], "worker-2": ["control host"]}
            hosts = [
                ClusterHost(name, self.address(name), state, offices.get(name, []), since, self._went(name, state))
                for name, (state, since) in self.hosts.items()
            ]
            units = [
                ClusterUnit(fake.unit, fake.host, *self._active(fake), self._since[fake.name], "least loaded worker")
                for fake in self.fakes.values()
            ]
            return Cluster(self.now_ms, hosts, units, list(self.events), True, "")

    def _went(self, host: str, state: str) -> list[WentUnit]:
        there = [self.fakes[name] for name in self.ran.get(host, ()) if name in self.fakes and state == "lost"]
        moved = [(fake, "" if fake.host in self.lost else fake.host) for fake in there]
        return [WentUnit(fake.unit, where, self._active(fake)[0] if where else "") for fake, where in moved]

    def kill(self, host: str, *, token: str) -> None:
        self.permit(token)
        with self.lock:
            self._must_know(host)
            if self.hosts[host][0] == "lost" or host in self.lost:
                raise InvalidInput(f"cannot kill {host}: it is dead already (start it)")
            self.lost[host] = self.now_ms
            self.ran[host] = sorted(fake.name for fake in self.fakes.values() if fake.host == host)
            for fake in [fake for fake in self.fakes.values() if fake.host == host]:
                self.went(fake)

    def start(self, host: str, *, token: str) -> None:
        self.permit(token)
        with self.lock:
            self._must_know(host)
            self.lost.pop(host, None)
            self.hosts[host] = ("up", self.now_ms)
            self._tell(Kind.RETURNED, "", host, f"after {LOST_AFTER_S} s")

    # --- how it goes

    def _flow(self, seconds: float) -> None:
        wave = 1 + 0.2 * math.sin(self.now_ms / 7000)
        for fake in self._running("producer"):
            offered = MAXIMUM * fake.percent / 100 * wave * seconds
            accepted = min(offered, CAPACITY - self.queued) if self._running("queue") else 0.0
            self._count(fake, "produced", offered)
            self._count(fake, "refused", offered - accepted)
            self.produced_total += offered
            self.refused_total += offered - accepted
            self.queued += accepted
        processors = [fake for fake in self._running("processor") if fake.hangs is None]
        if not (processors and self._running("queue") and self._running("datastore")):
            return
        share = min(self.queued / self._processing() / seconds, 1.0)
        for number, fake in enumerate(processors):
            mood = 1 + 0.15 * math.sin(self.now_ms / 5000 + number)
            done = min(self.queued, self._power(fake) * mood * share * seconds)
            self._count(fake, "processed", done)
            self.queued -= done
            self.stored_total += done

    def _count(self, fake: Fake, name: str, more: float) -> None:
        fake.counts[name] = fake.counts.get(name, 0) + more

    def _processing(self) -> float:
        return sum(self._power(fake) for fake in self._running("processor")) or 1.0

    def _power(self, fake: Fake) -> float:
        """Samples a second. All there were at the start have a little more than their work."""
        return 2_300 / self._at_start * 200 / max(fake.cost_us, 50)

    def _in_flight(self) -> int:
        return round(min(self.queued / 3, 40 * len(self._running("processor"))))

    def _running(self, role: str) -> list[Fake]:
        return [fake for fake in self.fakes.values() if fake.role == role and self._active(fake)[0] == "active"]

    def _active(self, fake: Fake) -> tuple[str, str]:
        return ("active", "running") if fake.host and fake.host not in self.lost else ("inactive", "dead")

    def _autoscale(self, seconds: float) -> None:
        self._quiet_s += seconds
        fill, processors = self.queued / CAPACITY * 100, self.wanted["processors"]
        if not self.automatic or self._quiet_s < 4:
            return
        if fill > HIGH and processors < MOST["processors"]:
            words = f"queue {fill:.0f} % and rising: {processors} → {processors + 1} processors"
            self._decide("processors", processors + 1, "autoscaler", words)

    def _decide(self, kind: str, count: int, by: str, reason: str) -> None:
        self.decisions.appendleft(Decision(self.now_ms, kind, self.wanted[kind], count, by, reason))
        self.wanted[kind] = count
        self._quiet_s = 0
        self._fit()

    def _fit(self) -> None:
        """Have as many agents as are wanted."""
        producers = ["celix@1", *(f"producer@{n}" for n in range(1, MOST["producers"]))]
        processors = [f"{kind}@{n + (kind == 'felix')}" for n in range(2, 100) for kind in ("celix", "felix")]
        for kind, names in (("producers", producers), ("processors", processors)):
            wanted = names[: self.wanted[kind]]
            there = [fake.name for fake in self.fakes.values() if fake.role == kind[:-1]]
            for name in sorted(set(wanted) - set(there)):
                self._add(name, kind[:-1], self._least_loaded())
            for name in sorted(set(there) - set(wanted)):
                fake = self.fakes.pop(name)
                self.went(fake)
                self._tell(Kind.DESTROYED, fake.unit, "", "")

    def _least_loaded(self) -> str:
        loads = {name: 0 for name, (state, _) in self.hosts.items() if state == "up" and name not in self.lost}
        for fake in self.fakes.values():
            if fake.host in loads:
                loads[fake.host] += 1
        return min(sorted(loads), key=lambda name: loads[name]) if loads else ""

    def _add(self, name: str, role: str, host: str) -> None:
        same = [fake for fake in self.fakes.values() if fake.role == role]
        fake = Fake(self, name, role, host)
        if same:
            fake.percent, fake.cost_us = same[0].percent, same[0].cost_us
        self.fakes[name] = fake
        self._since[name] = self.now_ms
        if host:
            self.came(fake)
        self._tell(Kind.ACTIVE, fake.unit, host, "")

    def _fail_over(self, host: str, dead_s: float) -> None:
        """First the machine is noticed, then its units are active elsewhere."""
        if dead_s >= LOST_AFTER_S and self.hosts[host][0] == "up":
            self.hosts[host] = ("lost", self.now_ms)
            self._tell(Kind.LEFT, "", host, "")
        if dead_s < ACTIVE_AFTER_S:
            return
        del self.lost[host]
        for fake in [fake for fake in self.fakes.values() if fake.host == host]:
            place = self._least_loaded()
            moved = Fake(self, fake.name, fake.role, place, fake.percent, fake.cost_us)
            self.fakes[fake.name] = moved
            self._since[fake.name] = self.now_ms
            self.came(moved)
            self._tell(Kind.MOVED, fake.unit, place, f"from {host}; least loaded worker")
            self._tell(Kind.ACTIVE, fake.unit, place, "")
            self._tell(Kind.FAILOVER, fake.unit, place, f"from {host}", self._steps())

    def _steps(self) -> list[tuple[str, int]]:
        line, more = msgspec.structs.asdict(LINE), 7 * len(self.events) % 90
        later = [(name.removesuffix("_ms"), ms + more) for name, ms in line.items() if name.endswith("_ms")]
        return [("detected", 0), *later]

    def _tell(self, kind: Kind, unit: str, host: str, text: str, failover: list[tuple[str, int]] | None = None) -> None:
        self._number += 1
        self.events.appendleft(
            ClusterEvent(f"{self._number}.0", self.now_ms, kind.value, unit, host, text, failover or [])
        )

    def _must_know(self, host: str) -> None:
        if host not in self.hosts:
            raise InvalidInput(f"there is no host {host!r} (there are: {', '.join(self.hosts)})")
