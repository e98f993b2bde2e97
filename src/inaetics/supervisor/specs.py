"""From a unit file's text to the value the state machine works with; the reading itself is the units' room's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from inaetics.errors import InvalidInput
from inaetics.units.grammar import parse
from inaetics.units.names import Name, parse_name
from inaetics.units.service_model import ServiceSpec
from inaetics.units.service_spec import service_spec


def checked_name(text: str) -> Name:
    """Return the name of a unit that can run here. Raises `InvalidInput`: what passes is fit to be a file's name."""
    name = parse_name(text)
    if name.suffix != ".service":
        raise InvalidInput(f"cannot run {text!r}: the embedded supervisor runs services only")
    if name.is_template:
        raise InvalidInput(f"cannot run {text!r}: a template runs only as an instance, such as {name.prefix}@1.service")
    return name


class HostIdentity(NamedTuple):
    """What specifiers tell of the host."""

    machine_id: str
    host_name: str


def identity(environment: Mapping[str, str]) -> HostIdentity:
    """Return who the host is, from its environment."""
    return HostIdentity(environment.get("INAETICS_MACHINE_ID", ""), environment.get("INAETICS_HOST", ""))


def read_spec(name: str, text: str, host: HostIdentity) -> ServiceSpec:
    """Read and check a unit file. Raises `UnitFileError`, `InvalidInput`."""
    unit = parse(text, source=name)
    return service_spec(unit, checked_name(name), machine_id=host.machine_id, host_name=host.host_name)
