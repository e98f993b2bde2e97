"""`[X-Fleet] HealthyAfterSec=` and `HealthCommand=`: when a unit counts as well.

A health command becomes an `ExecStartPost=` that is tried again until it succeeds, so it belongs to the start:
`TimeoutStartSec=` limits it, whichever supervisor runs the unit. A container's runs in the container.
"""

from __future__ import annotations

import math

from inaetics.errors import UnitFileError
from inaetics.units.command import split_command
from inaetics.units.grammar import Option, UnitFile, from_options
from inaetics.units.quoting import quote
from inaetics.units.values import time_span

SECTION = "X-Fleet"

_UNTIL = 'until "$$@"; do sleep 0.5; done'


def read_healthy_after(text: str) -> float:
    """Read how long a unit must be active before it counts as well. Raises `UnitFileError`."""
    seconds = time_span(text)
    if math.isinf(seconds):
        raise UnitFileError("a unit that must be active for ever would never count as well (write 5, 1min …)")
    return seconds


def read_health_command(text: str) -> str:
    """Check a health command: one command, without prefixes. Raises `UnitFileError`."""
    command = split_command(text)
    if command.argv0 is not None or command.ignore_failure or not command.substitute:
        raise UnitFileError(f"{text[:120]!r} begins with a prefix, and a health command takes none")
    return text


def with_health(unit: UnitFile, *, prefix: str = "") -> UnitFile:
    """Add what `HealthCommand=` asks for to a service; `unit` as it is where it asks for nothing.

    `prefix` begins the command line: that of a container unit runs in the container.
    """
    options = [option for option in unit.of(SECTION, "HealthCommand") if option.value]
    if not options:
        return unit
    command = " ".join(filter(None, (prefix, read_health_command(options[-1].value))))
    value = f"/bin/sh -c {quote(_UNTIL)} health {command}"
    added = Option("Service", "ExecStartPost", value, options[-1].line)
    return from_options([*unit.options, added], source=unit.source)
