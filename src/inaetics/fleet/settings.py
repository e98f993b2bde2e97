"""What can be set of the fleet's timing; one place, read once and passed down."""

from __future__ import annotations

from dataclasses import dataclass


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
    """The same for a unit on its way: most are at rest before, which saves a write. No report waits longer."""

    retry_s: float = 0.5
    """Pause before the store or the supervisor is asked again after it did not answer."""

    full_pass_s: float = 30.0
    """The safety net: how often the supervisor is asked for everything."""

    parallel: int = 32
    """How many units are worked on at once."""
