"""What may be submitted: everything that no machine could ever run is refused here, by name and line. Pure."""

from __future__ import annotations

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.fleet.model import Desired
from inaetics.units import container, service
from inaetics.units.fleet_section import FleetSection, fleet_section
from inaetics.units.grammar import parse
from inaetics.units.names import Name, parse_name

MAX_TEXT_BYTES = 256 * 1024
"""A unit file is read by people; etcd refuses requests of 1.5 MB, and a transaction holds more than the file."""


def check_submission(name: str, text: str) -> None:
    """Raise InvalidInput or UnitFileError, naming what is wrong, unless some machine could run this unit."""
    parsed = parse_name(name)
    if parsed.suffix != ".service":
        raise InvalidInput(f"cannot submit '{name}': hosts run only .service units (and .container files) so far")
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise InvalidInput(f"cannot submit '{name}': its file has {size} bytes, at most {MAX_TEXT_BYTES} are taken")
    unit_file = parse(text, source=name)
    section = fleet_section(unit_file, parsed)
    _check_consistent(name, section)
    if container.is_container(unit_file):
        unit_file = container.to_service(unit_file, parsed, _ANY_ENGINE)
    service.check(unit_file)


def check_desired(name: str, desired: Desired | None) -> None:
    """Raise InvalidInput for a template that is asked to run."""
    if desired not in (None, Desired.INACTIVE) and parse_name(name).is_template:
        raise InvalidInput(f"cannot start '{name}': it is a template (start an instance: {_example(parse_name(name))})")


def _check_consistent(name: str, section: FleetSection) -> None:
    if section.is_global and (section.machine_of or section.machine_id):
        other = "MachineOf" if section.machine_of else "MachineID"
        raise UnitFileError(f"cannot submit '{name}': Global=true and {other}= contradict each other (keep one)")
    if section.machine_of and section.machine_id:
        raise UnitFileError(f"cannot submit '{name}': MachineID= and MachineOf= contradict each other (keep one)")
    if name in section.machine_of:
        raise UnitFileError(f"cannot submit '{name}': MachineOf= names the unit itself (name another one)")


def _example(template: Name) -> str:
    return str(Name(template.prefix, "1", template.suffix))


_ANY_ENGINE = container.ContainerEngine(command=("podman",), run_flags=(), pull_flags=(), publish_address="127.0.0.1")
"""Stands in for a host's engine: submission only asks whether the file can become a service at all."""
