"""Where the fleet keeps what in etcd: one place for every key's shape.

Shapes are chosen for rights: an exact key, or a prefix ending in `/`, so that the rights of `w1` never cover `w10`.
"""

from __future__ import annotations

from inaetics.fleet.model import MachineId, UnitName

PREFIX = "/_coreos.com/fleet/"
FILES = f"{PREFIX}files/"
UNITS = f"{PREFIX}units/"
PLACEMENTS = f"{PREFIX}placements/"
MACHINES = f"{PREFIX}machines/"
OPERATOR = f"{PREFIX}operator/"
STATES = f"{PREFIX}states/"

ELECTION = f"{PREFIX}engine"
"""The engine's office: candidates' keys lie under it."""

REBALANCE = f"{PREFIX}rebalance"
"""What people asked to be evened out; deleted by the leader once it is done."""

SCALE = f"{PREFIX}scale"
"""Which sets of units may be scaled, and what was decided about that (`inaetics.api.scale_v1`). It lies here so that
whoever waits for changes of the fleet hears of it; nobody plans by it."""

ROLLOUTS = f"{PREFIX}rollouts/"
ROLLOUT_LEDGER = f"{PREFIX}rollout-ledger"
"""Written with every new rollout, so that two at the same moment cannot both be."""

LEDGER = f"{PREFIX}ledger"
"""Written by every transaction of the engine, so that each can ask that no other came in between."""


def file(content_hash: str) -> str:
    return FILES + content_hash


def unit(name: str) -> str:
    return UNITS + name


def rollout(rollout_id: str) -> str:
    return ROLLOUTS + rollout_id


def placement(machine: MachineId, name: UnitName) -> str:
    return f"{PLACEMENTS}{machine}/{name}"


def placements_of(machine: MachineId) -> str:
    return f"{PLACEMENTS}{machine}/"


def machine(machine_id: MachineId) -> str:
    return MACHINES + machine_id


def operator(machine_id: MachineId) -> str:
    return OPERATOR + machine_id


def state(machine: MachineId, name: UnitName) -> str:
    return f"{STATES}{machine}/{name}"


def states_of(machine: MachineId) -> str:
    return f"{STATES}{machine}/"


def on_machine(rest: str) -> tuple[MachineId, UnitName]:
    """Split what follows `placements/` or `states/` into machine and unit."""
    machine_id, _, name = rest.partition("/")
    return MachineId(machine_id), UnitName(name)
