"""What may be submitted: everything that no machine could ever run is refused here, by name and line. Pure."""

from __future__ import annotations

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.fleet.model import Desired
from inaetics.units.fleet_section import fleet_section
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.verify import verify

MAX_TEXT_BYTES = 256 * 1024
"""A unit file is read by people; etcd refuses requests of 1.5 MB, and a transaction holds more than the file."""


def check_submission(name: str, text: str) -> None:
    """Raise InvalidInput or UnitFileError, naming what is wrong, unless some machine could run this unit."""
    parsed = parse_name(name)
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise InvalidInput(f"cannot submit '{name}': its file has {size} bytes, at most {MAX_TEXT_BYTES} are taken")
    unit_file = parse(text, source=name)
    verify(unit_file, parsed)
    concrete = parsed.with_instance("1") if parsed.is_template else parsed
    if fleet_section(unit_file, concrete).on_lost == "stop":
        raise UnitFileError(
            f"cannot submit '{name}': OnLost=stop is not kept yet (a machine that loses the fleet lets its units run)"
        )


def check_desired(name: str, desired: Desired | None) -> None:
    """Raise InvalidInput for a template that is asked to run."""
    if desired not in (None, Desired.INACTIVE) and parse_name(name).is_template:
        instance = parse_name(name).with_instance("1")
        raise InvalidInput(f"cannot start '{name}': it is a template (start an instance of it: {instance})")
