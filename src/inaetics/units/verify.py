"""Whether the fleet takes a unit: the one check behind `fleetctl verify` and every submit."""

from __future__ import annotations

from fnmatch import fnmatchcase

from inaetics.units.container import ContainerEngine, is_container, to_service
from inaetics.units.fleet_section import SECTION, FleetSection, fleet_section, options_of
from inaetics.units.grammar import UnitFile
from inaetics.units.names import Name
from inaetics.units.service_spec import service_spec

_ANY_ENGINE = ContainerEngine(command=("podman",))
_ANY_INSTANCE = "1"
"""Stands for the instance when a template is checked."""

_INSTEAD = {
    ".timer": "nothing here starts units by the clock: let a service run and sleep, or end and be restarted after"
    " RestartSec=",
    ".socket": "nothing here listens for a unit: let the service listen itself",
    ".path": "nothing here watches paths for a unit: let the service watch them itself",
    ".target": "nothing here groups units: name those that belong together in Wants= or Requires= of a service",
}

_NOT_WITH_GLOBAL = ("MachineID", "MachineOf", "Replaces")


def verify(unit: UnitFile, name: Name) -> None:
    """Raise `UnitFileError` with the line, where there is one, for the first thing that is wrong with `unit`.

    A unit that passes can be scheduled, and the supervisor of every host understands it. Templates are checked as one
    of their instances.
    """
    if name.suffix != ".service":
        raise unit.error(f"{_INSTEAD[name.suffix]} (the fleet runs .service and .container units)", None)
    concrete = name.with_instance(_ANY_INSTANCE) if name.is_template else name
    _refuse_contradictions(unit, concrete, fleet_section(unit, concrete))
    service = to_service(unit, concrete, _ANY_ENGINE) if is_container(unit) else unit
    service_spec(service, concrete)


def _refuse_contradictions(unit: UnitFile, name: Name, section: FleetSection) -> None:
    if section.is_global:
        for option_name in _NOT_WITH_GLOBAL:
            for option in options_of(unit, option_name):
                message = f"[{SECTION}] {option.name}= contradicts Global=yes, which means every machine"
                raise unit.error(message, option.line)
    if section.machine_id and section.machine_of:
        line = options_of(unit, "MachineOf")[-1].line
        raise unit.error(f"[{SECTION}] MachineOf= contradicts MachineID=: a unit has one place (keep one)", line)
    if str(name) in section.machine_of:
        line = options_of(unit, "MachineOf")[-1].line
        raise unit.error(f"[{SECTION}] MachineOf= names the unit itself: it would wait for itself", line)
    _refuse_rivals(unit, name, section)
    _refuse_spread(unit, name, section)


def _refuse_rivals(unit: UnitFile, name: Name, section: FleetSection) -> None:
    """A glob may cover the unit itself, which then does not count; its name alone can mean nothing else."""
    for option_name, globs in (("Conflicts", section.conflicts), ("Replaces", section.replaces)):
        options = options_of(unit, option_name)
        if str(name) in globs and not name.is_instance:
            message = f"[{SECTION}] {option_name}= names the unit itself, which is in one place only (take it out)"
            raise unit.error(message, options[-1].line)
        for peer in section.machine_of:
            for glob in globs:
                if fnmatchcase(peer, glob):
                    message = (
                        f"[{SECTION}] {option_name}={glob} contradicts MachineOf={peer}: it cannot be where {peer} is"
                    )
                    raise unit.error(message, options[-1].line)


def _refuse_spread(unit: UnitFile, name: Name, section: FleetSection) -> None:
    if section.spread_by is None:
        return
    line = options_of(unit, "SpreadBy")[-1].line
    if not name.is_instance:
        message = (
            f"[{SECTION}] SpreadBy= spreads the instances of a template, and {name} is none (name it {name.prefix}@1)"
        )
        raise unit.error(message, line)
    for option_name, is_given in (
        ("Global=yes", section.is_global),
        ("MachineID=", section.machine_id),
        ("MachineOf=", section.machine_of),
    ):
        if is_given:
            raise unit.error(f"[{SECTION}] SpreadBy= contradicts {option_name}: there is nothing to choose", line)
