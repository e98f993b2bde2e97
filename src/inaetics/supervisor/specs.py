"""From a unit file's text to the value the state machine works with; the reading itself is the units' room's."""

from __future__ import annotations

from dataclasses import replace

from inaetics.errors import InvalidInput
from inaetics.units.grammar import parse
from inaetics.units.names import Name, parse_name
from inaetics.units.service_model import ServiceSpec
from inaetics.units.service_spec import service_spec
from inaetics.units.specifiers import Host


def checked_name(text: str) -> Name:
    """Return the name of a unit that can run here. Raises `InvalidInput`: what passes is fit to be a file's name."""
    name = parse_name(text)
    if name.suffix != ".service":
        raise InvalidInput(f"cannot run {text!r}: the embedded supervisor runs services only")
    if name.is_template:
        raise InvalidInput(f"cannot run {text!r}: a template runs only as an instance, such as {name.prefix}@1.service")
    return name


_KEPT = 32
_SHORT = 64 * 1024
_read: dict[str, ServiceSpec] = {}
"""What was read last: the oldest goes first."""


def read_spec(name: str, text: str, host: Host) -> ServiceSpec:
    """Read and check a unit file. Raises `UnitFileError`, `InvalidInput`.

    A text without specifiers says the same under every name, so it is read once for all instances of a template.
    """
    known = _read.get(text)
    if known is not None:
        return replace(known, name=str(checked_name(name)))
    unit = parse(text, source=name)
    spec = service_spec(unit, checked_name(name), host=host)
    if "%" not in text and len(text) <= _SHORT:
        while len(_read) >= _KEPT:
            del _read[next(iter(_read))]
        _read[text] = spec
    return spec
