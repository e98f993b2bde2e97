"""How much of each machine is spoken for by what is placed there. Pure; every question at constant cost.

What counts is what units declare, not what they use: so a plan depends on the store alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from inaetics.fleet.model import Machine, MachineId
from inaetics.fleet.requirements import Requirements

Floor = tuple[int, int]
"""Memory and cpu (as in `Requirements`) that a machine must at least have free."""

_ENDLESS = 1 << 62


@dataclass(slots=True)
class Room:
    """What is taken of machines. One that does not say what it has is never full."""

    _memory: defaultdict[MachineId, int] = field(default_factory=lambda: defaultdict(int))
    _cpu: defaultdict[MachineId, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, machine: MachineId, requirements: Requirements, times: int = 1) -> None:
        """Note that a unit with these needs is on `machine`; `times=-1` takes that back."""
        if requirements.memory:
            self._memory[machine] += times * requirements.memory
        if requirements.cpu:
            self._cpu[machine] += times * requirements.cpu

    def free_memory(self, machine: Machine) -> int | None:
        """Bytes, None for a machine that does not say; negative where more is taken than there is."""
        return None if machine.memory is None else machine.memory - self._memory.get(machine.id, 0)

    def free_cpu(self, machine: Machine) -> int | None:
        """Thousandths of a core, as `free_memory`."""
        return None if machine.cores is None else cpu_of(machine.cores) - self._cpu.get(machine.id, 0)

    def free(self, machine: Machine) -> tuple[int, int]:
        """Bytes, and thousandths of a core; as good as endless where the machine does not say, never negative.

        So a need of nothing always fits, also where more is taken than there is.
        """
        memory, cpu = _ENDLESS, _ENDLESS
        if machine.memory is not None:
            memory = max(machine.memory - self._memory.get(machine.id, 0), 0)
        if machine.cores is not None:
            cpu = max(cpu_of(machine.cores) - self._cpu.get(machine.id, 0), 0)
        return memory, cpu

    def holds(self, machine: Machine, memory: int, cpu: int) -> bool:
        """Whether a unit with these needs still fits beside what is there."""
        free_memory, free_cpu = self.free(machine)
        return memory <= free_memory and cpu <= free_cpu


def cpu_of(cores: float) -> int:
    """Thousandths of a core."""
    return round(cores * 1000)


def floor_of(requirements: Requirements) -> Floor:
    """The needs rounded down to powers of two: a few floors stand for all needs."""
    return _rounded_down(requirements.memory), _rounded_down(requirements.cpu)


def _rounded_down(need: int) -> int:
    return 1 << (need.bit_length() - 1) if need else 0
