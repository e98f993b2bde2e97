"""What can be set of the fleet's timing; one place, read once and passed down."""

from __future__ import annotations

from dataclasses import dataclass

from inaetics.fleet.in_touch import TouchTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the engine leads."""

    lease_ttl_s: float = 5.0
    """The leader's lease: when a leader is killed, another one takes over after this time."""

    machine_ttl_s: float = 5.0
    """The agents' lease: a machine's key can outlive the machine for this long."""

    lost_margin_s: float = 10.0
    """Added to `machine_ttl_s` before a new leader counts machines as lost that it has never seen alive: time for
    agents to come back after everything was down."""

    full_pass_s: float = 30.0
    """The safety net: how often everything is planned anew and files that nobody names are collected."""

    @property
    def grace_s(self) -> float:
        return self.machine_ttl_s + self.lost_margin_s


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How an agent keeps in touch."""

    lease_ttl_s: float = 5.0
    """The machine's lease: all its keys go this long after its agent was last heard."""

    settled_delay_s: float = 0.005
    """How long a report of a unit that came to rest (active, inactive, failed) waits for others to go with it."""

    passing_delay_s: float = 0.2
    """The same for a unit on its way: most are at rest before, which saves a write."""

    unseen_delay_s: float = 2.0
    """The same for a unit whose start was asked for and does not show yet: a busy host takes its time."""

    pause_each_s: float = 0.05
    """Pause after reports were written, for each unit they were of: where many units start, many reports gather."""

    longest_pause_s: float = 0.2
    """No such pause is longer."""

    def pause_s(self, reports: int) -> float:
        """How long to gather reports after so many were written."""
        return min(self.longest_pause_s, self.pause_each_s * reports)

    retry_s: float = 0.5
    """Pause before the store or the supervisor is asked again after it did not answer."""

    full_pass_s: float = 30.0
    """The safety net: how often the supervisor is asked for everything."""

    parallel: int = 32
    """How many units are worked on at once."""

    renew_every_s: float = 0.5
    """How often the lease is renewed while there are units with `OnLost=stop` (else every third of the TTL)."""

    election_s: float = 2.0
    """How long etcd may have no leader before a unit with `OnLost=stop` is stopped for that."""

    lost_margin_s: float = 0.9
    """Units with `OnLost=stop` have stopped so long before the lease can end: time for a supervisor that was killed
    at the last moment to come back and do it."""

    disk_grace_s: float = 10.0
    """How long after its start an agent waits for the store before it starts from the disk what was placed here."""

    disk_delay_s: float = 0.5
    """How long a change of what is placed here may wait before it is on the disk, for others to go with it."""

    @property
    def touch(self) -> TouchTimes:
        return TouchTimes(
            lease_ttl_s=self.lease_ttl_s,
            renew_every_s=self.renew_every_s,
            call_s=max(min(self.lease_ttl_s / 6, self.renew_every_s), 0.25),
            election_s=self.election_s,
            margin_s=self.lost_margin_s,
        )
