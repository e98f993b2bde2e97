"""From what the API says to the cluster as the page shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from inaetics.demonstrator.api import Cluster, ClusterEvent, ClusterHost, ClusterUnit, WentUnit

MOST_EVENTS = 100


class WentSaid(msgspec.Struct, frozen=True):
    """A unit of a host that is lost, and where it is now."""

    name: str
    machine: str = ""
    active: str = ""


class HostSaid(msgspec.Struct, frozen=True):
    """A machine that the cluster has, or had: `state` is "up", "cordoned" or "lost"."""

    name: str
    address: str = ""
    state: str = "up"
    offices: tuple[str, ...] = ()
    ran: tuple[WentSaid, ...] = ()


class HostsSaid(msgspec.Struct, frozen=True):
    """`GET /inaetics/v1/hosts`."""

    hosts: tuple[HostSaid, ...] = ()
    local: bool = False


class MachineSaid(msgspec.Struct, frozen=True):
    name: str = ""


class UnitSaid(msgspec.Struct, frozen=True):
    """One of `GET /inaetics/v1/units`."""

    name: str
    desired: str = ""
    machine: MachineSaid | None = None
    active: str | None = None
    sub: str | None = None
    message: str | None = None
    reason: str | None = None
    placed: str | None = None
    since: float | None = None


class UnitsSaid(msgspec.Struct, frozen=True):
    revision: int
    units: tuple[UnitSaid, ...] = ()


class TimelineSaid(msgspec.Struct, frozen=True):
    """Of a failover. What was not said is not known: no step is shown for it, least of all at +0 ms."""

    detected_at: float | None = None
    decided_ms: int | None = None
    pulled_ms: int | None = None
    started_ms: int | None = None
    active_ms: int | None = None


class EventSaid(msgspec.Struct, frozen=True):
    """One of `GET /inaetics/v1/events`."""

    id: str
    time: float = 0.0
    kind: str = ""
    unit: str = ""
    machine: str = ""
    left: str = ""
    reason: str = ""
    message: str = ""
    timeline: TimelineSaid | None = None


def cluster(
    hosts: HostsSaid,
    units: Iterable[UnitSaid],
    events: Sequence[ClusterEvent],
    *,
    at_ms: int,
    since: Mapping[str, int],
    stale: str,
) -> Cluster:
    """The picture; `since` says when each host came to its state, `events` are oldest first."""
    return Cluster(
        at_ms,
        [
            ClusterHost(
                each.name,
                each.address,
                each.state,
                list(each.offices),
                since.get(each.name, at_ms),
                [WentUnit(unit.name, unit.machine, unit.active) for unit in each.ran],
            )
            for each in hosts.hosts
        ],
        [_unit(each) for each in units if each.desired != "inactive"],
        list(reversed(events[-MOST_EVENTS:])),
        hosts.local,
        stale,
    )


def _unit(said: UnitSaid) -> ClusterUnit:
    return ClusterUnit(
        said.name,
        said.machine.name if said.machine else "",
        said.active or "",
        said.sub or "",
        round((said.since or 0) * 1000),
        said.reason or said.message or said.placed or "",
    )


def event(said: EventSaid) -> ClusterEvent:
    """What happened, in words."""
    pieces = (
        f"from {said.left}" if said.left else "",
        said.message,
        said.reason if said.timeline is None else "",
    )
    return ClusterEvent(
        said.id,
        round(said.time * 1000),
        said.kind,
        said.unit,
        said.machine,
        "; ".join(filter(None, pieces)),
        _steps(said.timeline),
    )


def _steps(line: TimelineSaid | None) -> list[tuple[str, int]]:
    if line is None:
        return []
    steps = [
        ("detected", 0 if line.detected_at is not None else None),
        ("decided", line.decided_ms),
        ("pulled", line.pulled_ms),
        ("started", line.started_ms),
        ("active", line.active_ms),
    ]
    return [(name, ms) for name, ms in steps if ms is not None]


def since_when(before: HostsSaid, now: HostsSaid, since: Mapping[str, int], *, at_ms: int) -> dict[str, int]:
    """When each host came to the state it is in: as `since` says, unless the state is another one now."""
    states = {each.name: each.state for each in before.hosts}
    return {
        each.name: since[each.name] if states.get(each.name) == each.state and each.name in since else at_ms
        for each in now.hosts
    }
