"""From a unit file's text to the value the state machine works with; the reading itself is the units' room's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

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


def read_spec(name: str, text: str, host: Mapping[str, str]) -> ServiceSpec:
    """Read and check a unit file; `host` is the host's environment. Raises `UnitFileError`, `InvalidInput`."""
    return _read(name, text, host.get("INAETICS_MACHINE_ID", ""), host.get("INAETICS_HOST", ""))


@lru_cache(maxsize=256)
def _read(name: str, text: str, machine_id: str, host_name: str) -> ServiceSpec:
    return service_spec(parse(text, source=name), checked_name(name), machine_id=machine_id, host_name=host_name)
