"""What may be submitted: everything that no machine could ever run is refused here, by name and line. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from inaetics.errors import InvalidInput
from inaetics.fleet.in_touch import check_stop
from inaetics.fleet.model import Desired
from inaetics.fleet.settings import AgentSettings
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.verify import verify

MAX_TEXT_BYTES = 256 * 1024
"""A unit file is read by people; etcd refuses requests of 1.5 MB, and a transaction holds more than the file."""

_TOUCH = AgentSettings().touch

_OF_THE_NAME = re.compile(r"%|machineof|conflicts|replaces|spreadby", re.IGNORECASE)
"""What makes a file's correctness depend on the name it is submitted under."""


def check_submission(name: str, text: str) -> None:
    """Raise InvalidInput or UnitFileError, naming what is wrong, unless some machine could run this unit.

    A thousand instances of one file cost little more than one, where nothing in it depends on the name.
    """
    if not _passes_as_any(text, parse_name(name).suffix):
        _check(name, text)


@lru_cache(maxsize=16)
def _passes_as_any(text: str, suffix: str) -> bool:
    """Whether the file is known to be right under every name with this suffix."""
    if _OF_THE_NAME.search(text):
        return False
    try:
        _check(f"any@1{suffix}", text)
    except InvalidInput:
        return False
    return True


def _check(name: str, text: str) -> None:
    parsed = parse_name(name)
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise InvalidInput(f"cannot submit '{name}': its file has {size} bytes, at most {MAX_TEXT_BYTES} are taken")
    unit_file = parse(text, source=name)
    verify(unit_file, parsed)
    concrete = parsed.with_instance("1") if parsed.is_template else parsed
    check_stop(unit_file, concrete, _TOUCH)


def check_desired(name: str, desired: Desired | None) -> None:
    """Raise InvalidInput for a template that is asked to run."""
    if desired not in (None, Desired.INACTIVE) and parse_name(name).is_template:
        instance = parse_name(name).with_instance("1")
        raise InvalidInput(f"cannot start '{name}': it is a template (start an instance of it: {instance})")
