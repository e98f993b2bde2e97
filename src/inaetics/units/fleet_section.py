"""The `[X-Fleet]` section: where in the fleet a unit may run. The original's spellings are understood.

Promises: an option nobody knows is an error with its line; the value does not depend on the order of options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Literal, TypeVar

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.units.grammar import Option, UnitFile
from inaetics.units.health import read_health_command, read_healthy_after
from inaetics.units.names import Name, complete_name, parse_name
from inaetics.units.quoting import split_words
from inaetics.units.specifiers import expand_unplaced
from inaetics.units.values import boolean, size
from inaetics.units.wording import at_option, nearest

SECTION = "X-Fleet"

MAX_MEMORY = 64 << 40
MAX_CORES = 4096
"""More than this is a slip of the pen: no machine has it."""

_CORES = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_KEY = re.compile(r"[A-Za-z0-9_.-]+")

Value = TypeVar("Value")

OPTIONS: Mapping[str, str] = {
    "MachineMetadata": "run on machines with this metadata: `key=value`; several keys must all match, several values "
    "of one key are alternatives",
    "Conflicts": "do not run on a machine that runs a unit whose name matches a glob; it counts both ways",
    "MachineID": "run on the machine with this id",
    "MachineOf": "run on the machine that runs this unit",
    "Global": "`yes`: run on every machine that matches",
    "Replaces": "when this unit is placed, units matching these globs are taken off the machine",
    "OnLost": "what a machine does with the unit when it loses the fleet: `keep` (default) or `stop`",
    "Memory": "how much memory the unit needs (`500M`, `2G`): it runs only where so much is free",
    "CPU": "how many cores the unit needs (`0.5`, `2`): it runs only where so many are free",
    "SpreadBy": "spread a template's instances evenly over the values of this metadata key",
    "HealthyAfterSec": "how long the unit must be active on new content before an update counts it as well "
    "(5 seconds unless given)",
    "HealthCommand": "a command that must succeed before the unit counts as started; it is tried again until the start "
    "times out; a container's runs in the container",
}
"""Every option with its meaning, as the reference shows it."""

OLD_SPELLINGS: Mapping[str, str] = {
    "X-ConditionMachineID": "MachineID",
    "X-ConditionMachineOf": "MachineOf",
    "X-ConditionMachineMetadata": "MachineMetadata",
    "X-Conflicts": "Conflicts",
    "X-Replaces": "Replaces",
    "ConditionMachineID": "MachineID",
    "ConditionMachineOf": "MachineOf",
    "ConditionMachineMetadata": "MachineMetadata",
}
"""The original's older names of options."""

REFUSED: Mapping[str, str] = {
    "MachineBootID": "boot ids change with every boot; use MachineID=",
    "X-ConditionMachineBootID": "boot ids change with every boot; use MachineID=",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSection:
    """What `[X-Fleet]` asks for, specifiers expanded.

    `metadata`: every key must match, by any one of its values. `conflicts` and `replaces` are globs over unit names.
    """

    machine_id: str | None = None
    machine_of: tuple[str, ...] = ()
    metadata: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    is_global: bool = False
    on_lost: Literal["keep", "stop"] = "keep"
    memory: int | None = None
    """Bytes; None where nothing is said."""
    cpu: int | None = None
    """Thousandths of a core; None where nothing is said."""
    spread_by: str | None = None
    healthy_after_s: float | None = None
    health_command: str | None = None


def fleet_section(unit: UnitFile, name: Name) -> FleetSection:
    """Read `[X-Fleet]` of `unit` for the unit `name`. Raises `UnitFileError` with the line."""
    _refuse_unknown(unit)
    return FleetSection(
        machine_id=_machine_id(unit, name),
        machine_of=_sorted(word for _, word in _words(unit, name, "MachineOf", _unit_name)),
        metadata=_metadata(unit, name),
        conflicts=_sorted(word for _, word in _words(unit, name, "Conflicts", _glob)),
        replaces=_sorted(word for _, word in _words(unit, name, "Replaces", _glob)),
        is_global=_is_global(unit),
        on_lost=_on_lost(unit),
        memory=_last(unit, "Memory", read_memory),
        cpu=_last(unit, "CPU", read_cores),
        spread_by=_last(unit, "SpreadBy", _metadata_key),
        healthy_after_s=_last(unit, "HealthyAfterSec", read_healthy_after),
        health_command=_last(unit, "HealthCommand", read_health_command),
    )


def options_of(unit: UnitFile, name: str) -> tuple[Option, ...]:
    """The assignments in effect of an option under any of its spellings."""
    return unit.of(SECTION, *_spellings(name))


@cache
def _spellings(name: str) -> tuple[str, ...]:
    return (name, *(old for old, new in OLD_SPELLINGS.items() if new == name))


def _refuse_unknown(unit: UnitFile) -> None:
    for option in unit.options:
        if option.section != SECTION or option.name in OPTIONS or option.name in OLD_SPELLINGS:
            continue
        if option.name in REFUSED:
            raise unit.error(f"[{SECTION}] {option.name}= is refused: {REFUSED[option.name]}", option.line)
        hint = nearest(option.name, OPTIONS)
        raise unit.error(f"[{SECTION}] has no option {option.name}={hint}", option.line)


def _machine_id(unit: UnitFile, name: Name) -> str | None:
    words = _words(unit, name, "MachineID", str)
    found = {word for _, word in words}
    if len(found) > 1:
        raise unit.error(f"[{SECTION}] MachineID= names several machines; a unit runs on one", words[-1][0].line)
    return next(iter(found), None)


def _metadata(unit: UnitFile, name: Name) -> Mapping[str, frozenset[str]]:
    wanted: dict[str, set[str]] = {}
    for option, word in _words(unit, name, "MachineMetadata", str):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise unit.error(f"[{SECTION}] {option.name}=: {word!r} is no metadata (write key=value)", option.line)
        if not _KEY.fullmatch(key):
            message = f"[{SECTION}] {option.name}=: {key!r} is no metadata key (write key=value; there is no comparing)"
            raise unit.error(message, option.line)
        wanted.setdefault(key, set()).add(value)
    return MappingProxyType({key: frozenset(wanted[key]) for key in sorted(wanted)})


def _is_global(unit: UnitFile) -> bool:
    options = options_of(unit, "Global")
    try:
        return bool(options) and boolean(options[-1].value)
    except InvalidInput as error:
        raise at_option(unit, options[-1], error) from error


def _on_lost(unit: UnitFile) -> Literal["keep", "stop"]:
    options = options_of(unit, "OnLost")
    value = options[-1].value if options else "keep"
    if value == "keep":
        return "keep"
    if value == "stop":
        return "stop"
    raise unit.error(f"[{SECTION}] OnLost=: {value!r} is neither keep nor stop", options[-1].line)


def _last(unit: UnitFile, key: str, read: Callable[[str], Value]) -> Value | None:
    """The value of an option of which the last assignment counts; an empty one takes back those before it."""
    options = options_of(unit, key)
    if not options or not options[-1].value:
        return None
    try:
        return read(options[-1].value)
    except InvalidInput as error:
        raise at_option(unit, options[-1], error) from error


def read_memory(text: str) -> int:
    """Read a need of memory in bytes."""
    found = size(text)
    if not found:
        raise UnitFileError(f"{text!r} is no need of memory (write 500M or 2G; leave it out where it does not matter)")
    if found > MAX_MEMORY:
        raise UnitFileError(f"{text!r} is more memory than any machine has (at most {MAX_MEMORY >> 40}T)")
    return found


def read_cores(text: str) -> int:
    """Read a need of cores, in thousandths."""
    if not _CORES.fullmatch(text) or not (found := round(float(text) * 1000)):
        raise UnitFileError(f"{text!r} is no number of cores (write 0.5 or 2; leave it out where it does not matter)")
    if found > MAX_CORES * 1000:
        raise UnitFileError(f"{text!r} is more cores than any machine has (at most {MAX_CORES})")
    return found


def _metadata_key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise UnitFileError(f"{text!r} is no metadata key (write one name, as in SpreadBy=zone)")
    return text


def _words(unit: UnitFile, name: Name, key: str, read: Callable[[str], str]) -> list[tuple[Option, str]]:
    """Every word of an option's values with the option it stands in, specifiers expanded."""
    found: list[tuple[Option, str]] = []
    for option in options_of(unit, key):
        try:
            found += [(option, read(expand_unplaced(word, name=name))) for word in split_words(option.value)]
        except InvalidInput as error:
            raise at_option(unit, option, error) from error
    return found


def _unit_name(word: str) -> str:
    target = parse_name(complete_name(word))
    if target.is_template:
        raise UnitFileError(f"{target} is a template, which runs nowhere; name an instance")
    return str(target)


def _glob(word: str) -> str:
    if word.count("[") != word.count("]"):
        raise UnitFileError(f"{word!r} is no glob: a bracket is not closed")
    return complete_name(word) if word.endswith(".container") else word


def _sorted(words: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))
