"""How much of a machine a unit needs: what `[X-Fleet]` says, else what the unit may use at most. Pure."""

from __future__ import annotations

import re

from inaetics.errors import InvalidInput
from inaetics.units.fleet_section import FleetSection
from inaetics.units.grammar import UnitFile
from inaetics.units.values import size

_QUOTA = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)%")


def needs(unit: UnitFile, section: FleetSection) -> tuple[int, int]:
    """Bytes of memory and thousandths of a core; 0 where nothing is said.

    A limit counts as a need: who may use 2 GiB must find 2 GiB. Limits that are no amount (a share of the machine, no
    limit at all) ask for nothing; whether they are right is not judged here.
    """
    return section.memory or _memory_limit(unit), section.cpu or _cpu_limit(unit)


def _memory_limit(unit: UnitFile) -> int:
    for section, name in (("Container", "Memory"), ("Service", "MemoryMax")):
        options = unit.of(section, name)
        if options and options[-1].value:
            try:
                return size(options[-1].value.upper()) or 0
            except InvalidInput:
                return 0
    return 0


def _cpu_limit(unit: UnitFile) -> int:
    options = unit.of("Service", "CPUQuota")
    match = _QUOTA.fullmatch(options[-1].value) if options else None
    return round(float(match[1]) * 10) if match else 0
