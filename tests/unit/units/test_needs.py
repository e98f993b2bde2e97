"""What counts as a unit's need of memory and cores."""

from __future__ import annotations

import pytest

from inaetics.units.fleet_section import fleet_section
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.needs import needs

SERVICE = "[Service]\nExecStart=/bin/true\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(SERVICE, (0, 0), id="nothing said, nothing needed"),
        pytest.param(SERVICE + "[X-Fleet]\nMemory=2G\nCPU=0.5\n", (2 << 30, 500), id="what is declared"),
        pytest.param(SERVICE + "MemoryMax=1G\nCPUQuota=150%\n", (1 << 30, 1500), id="limits of a service count"),
        pytest.param("[Container]\nImage=a\nMemory=512m\n", (512 << 20, 0), id="a container's limit counts"),
        pytest.param(
            SERVICE + "MemoryMax=4G\nCPUQuota=400%\n[X-Fleet]\nMemory=1G\nCPU=1\n",
            (1 << 30, 1000),
            id="what is declared goes before limits",
        ),
        pytest.param(SERVICE + "MemoryMax=50%\nCPUQuota=\n", (0, 0), id="a share of the machine is no amount"),
        pytest.param(SERVICE + "MemoryMax=infinity\n", (0, 0), id="no limit is no need"),
        pytest.param(SERVICE + "MemoryMax=1G\nMemoryMax=\n", (0, 0), id="an empty assignment takes it back"),
    ],
)
def test_needs(text: str, expected: tuple[int, int]) -> None:
    unit = parse(text)
    assert needs(unit, fleet_section(unit, parse_name("a.service"))) == expected
