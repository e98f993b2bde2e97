"""What the page shows, for Prometheus; made from what was collected, without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inaetics.node.exposition import Family, one

from .streams import Streams
from .watch import Watch

PREFIX = "inaetics_demonstrator_"

_COUNTED = ("produced", "refused", "processed", "stored")
_SYSTEM = {
    "queued": "Samples that wait in the queue",
    "in_flight": "Samples that processors have borrowed",
    "queue_percent": "How full the queue is",
    "queue_capacity": "Samples that the queue holds at most",
}


def families(watch: Watch, streams: Streams) -> list[Family]:
    """Everything; what is not known just now is left out."""
    system = watch.system()
    return [
        *_pipeline(system),
        *_accounting(system["accounting"]),
        *_agents(watch.statistics()["agents"]),
        *_scaling(watch),
        one(f"{PREFIX}pages", "gauge", "Pages that are open", streams.open),
        one(f"{PREFIX}pages_dropped_total", "counter", "Pages that were dropped: they did not read", streams.dropped),
        one(f"{PREFIX}sent_bytes_total", "counter", "Sent to open pages", streams.sent_bytes),
    ]


def _pipeline(system: dict[str, Any]) -> Iterator[Family]:
    for name in _COUNTED:
        yield one(f"{PREFIX}{name}_total", "counter", f"Samples {name}, by all agents' own count", system[name])
    for name, words in _SYSTEM.items():
        if system[name] is not None:
            yield one(f"{PREFIX}{name}", "gauge", words, system[name])
    if system["latency_ms"] is not None:
        quantiles = [({"quantile": f"0.{p[1:]}"}, ms / 1000) for p, ms in system["latency_ms"].items()]
        yield Family(f"{PREFIX}latency_seconds", "gauge", "From taking a sample to its being stored", quantiles)


def _accounting(accounting: dict[str, Any] | None) -> Iterator[Family]:
    if accounting is None:
        return
    holds = float(accounting["holds"])
    yield one(f"{PREFIX}accounting_holds", "gauge", "1 when every sample offered is accounted for", holds)
    names = ("produced", "refused", "queued", "in_flight", "stored", "lost_with_queue")
    stages = [({"stage": name}, float(accounting[name])) for name in names]
    yield Family(f"{PREFIX}accounting", "gauge", "Samples in the last consistent snapshot, by where they are", stages)


def _agents(agents: list[dict[str, Any]]) -> Iterator[Family]:
    late = [({"agent": agent["agent"], "host": agent["host"]}, float(agent["late"])) for agent in agents]
    yield Family(f"{PREFIX}agent_late", "gauge", "1 when an agent has not reported for three seconds", late)
    last = [
        (
            {"agent": agent["agent"], "host": agent["host"], "series": line["name"], "unit": line["unit"]},
            float(line["points"][-1][1]),
        )
        for agent in agents
        for line in agent["series"]
        if line["points"]
    ]
    yield Family(f"{PREFIX}agent", "gauge", "What the page draws of an agent; counters as rates", last)


def _scaling(watch: Watch) -> Iterator[Family]:
    scaling = watch.scaling()
    if scaling is None:
        return
    for name in ("wanted", "running", "least", "most"):
        samples = [({"kind": each.kind}, float(getattr(each, name))) for each in scaling.sets]
        yield Family(f"{PREFIX}agents_{name}", "gauge", f"Agents of a kind: {name}", samples)
    yield one(f"{PREFIX}automatic", "gauge", "1 while the autoscaler decides", float(scaling.automatic))
