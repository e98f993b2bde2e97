"""When a machine that loses touch has to stop its units with `OnLost=stop`, and which stops fit into that. Pure.

All times count from the sending of the last renewal of the machine's lease that was answered; etcd counts from its
arrival, so the lease cannot end before `lease_ttl_s`. In this order:

    renew_every_s + call_s + election_s   touch may return until here, also when etcd has to elect a leader meanwhile
    … longest_stop_s …                    units are asked to stop, each as early as its stop timeout asks for
    lease_ttl_s - margin_s                the supervisor's deadline: what lives is killed
    … margin_s …                          time for that, and for a supervisor killed just now to come back and do it
    lease_ttl_s                           the lease may end: the units may be started elsewhere

Invariant: as long as `longest_stop_s` is positive and no stop takes longer, a unit has stopped before its machine's
lease can have ended, and an election alone stops nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from inaetics.errors import InvalidInput
from inaetics.units.container import ContainerEngine, is_container, to_service
from inaetics.units.fleet_section import fleet_section, options_of
from inaetics.units.grammar import UnitFile
from inaetics.units.names import Name
from inaetics.units.service_spec import service_spec

_ANY_ENGINE = ContainerEngine(command=("podman",))


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchTimes:
    """The times of the module's table, in seconds."""

    lease_ttl_s: float
    """The machine's lease."""

    renew_every_s: float
    """How often a machine with such units renews its lease (one without: every third of the TTL)."""

    call_s: float
    """How long one attempt to renew may take before the next one."""

    election_s: float
    """How long etcd may have no leader without anything being stopped."""

    margin_s: float
    """From the supervisor's deadline to the earliest end of the lease."""

    @property
    def longest_stop_s(self) -> float:
        """The longest stop timeout that fits."""
        patience_s = self.renew_every_s + self.call_s + self.election_s
        return round(self.lease_ttl_s - self.margin_s - patience_s, 3)


def check_times(times: TouchTimes) -> None:
    """Raise InvalidInput for times with which no unit could have `OnLost=stop`."""
    if times.longest_stop_s <= 0:
        needed = times.lease_ttl_s - times.longest_stop_s
        raise InvalidInput(
            f"cannot keep OnLost=stop with a lease of {times.lease_ttl_s:g} s: it takes more than {needed:g} s"
            f" ({times.renew_every_s:g} s between renewals, {times.call_s:g} s for one,"
            f" {times.election_s:g} s for an election of etcd, {times.margin_s:g} s of margin)"
        )


def check_stop(unit: UnitFile, name: Name, times: TouchTimes) -> None:
    """Raise UnitFileError when `unit` has `OnLost=stop` and could not be stopped in time."""
    if not stops_when_lost(unit, name):
        return
    service = to_service(unit, name, _ANY_ENGINE) if is_container(unit) else unit
    timeout_s = service_spec(service, name).timeout_stop_s
    if timeout_s > times.longest_stop_s:
        written = unit.of("Service", "TimeoutStopSec", "TimeoutSec")
        has = f"TimeoutStopSec={_seconds(timeout_s)}" + ("" if written else ", the default,")
        message = (
            f"OnLost=stop needs a stop that is over before the machine's lease ({times.lease_ttl_s:g} s) can"
            f" end: {has} does not fit (write TimeoutStopSec={_fitting(times)} or less in [Service]; what has not"
            " stopped by then is killed)"
        )
        raise unit.error(message, (written or options_of(unit, "OnLost"))[-1].line)


def stops_when_lost(unit: UnitFile, name: Name) -> bool:
    """Whether a machine that loses touch stops `unit`."""
    return fleet_section(unit, name).on_lost == "stop"


def _fitting(times: TouchTimes) -> str:
    """The longest stop timeout as a person would write it."""
    whole = math.floor(times.longest_stop_s)
    return f"{whole}" if whole else f"{math.floor(times.longest_stop_s * 1000)}ms"


def _seconds(seconds: float) -> str:
    return "infinity" if math.isinf(seconds) else f"{seconds:g}"
