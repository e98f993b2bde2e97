"""Checking a service's directives against the table, and the parsers of their values in one place.

Promises: a unit that passes `check` holds no directive that would be ignored without a reason in the table.
"""

from __future__ import annotations

from inaetics.units.command import Command, expand_variables, split_command, split_commands
from inaetics.units.directives import BY_NAME, DIRECTIVES, SECTIONS, Directive, Standing
from inaetics.units.fleet_section import OLD_SPELLINGS
from inaetics.units.fleet_section import SECTION as FLEET_SECTION
from inaetics.units.grammar import Option, UnitFile
from inaetics.units.values import environment_assignments, environment_file, time_span
from inaetics.units.wording import nearest

__all__ = [
    "DIRECTIVES",
    "Command",
    "Directive",
    "Standing",
    "check",
    "environment_assignments",
    "environment_file",
    "expand_variables",
    "split_command",
    "split_commands",
    "time_span",
]

PRIVATE_PREFIX = "X-"
"""Sections and options whose names begin so are for other programs, as in systemd."""


def check(unit: UnitFile, *, also: tuple[str, ...] = ()) -> None:
    """Raise `UnitFileError`, naming option and line, for a section or directive that is unknown or refused.

    Values are not looked at: `service_spec` reads them. Sections in `also` have a reader of their own, as `[X-Fleet]`
    has in `fleet_section`; nothing in them is looked at.
    """
    for entry in unit.entries:
        if entry.section is not None and entry.section not in also:
            _check_section(unit, entry.section)
    for option in unit.options:
        if option.section not in also and not option.section.startswith(PRIVATE_PREFIX):
            _check_option(unit, option)


def _check_section(unit: UnitFile, section: str) -> None:
    if section in SECTIONS or section.startswith(PRIVATE_PREFIX):
        return
    known = ", ".join(f"[{name}]" for name in (*SECTIONS, "Container", FLEET_SECTION))
    raise unit.error(f"unknown section [{section}] (known: {known})", _line_of_section(unit, section))


def _line_of_section(unit: UnitFile, section: str) -> int:
    before = 0
    for entry in unit.entries:
        if entry.section == section:
            break
        before += entry.raw.count("\n")
    return before + 1


def _check_option(unit: UnitFile, option: Option) -> None:
    directive = BY_NAME.get((option.section, option.name))
    if directive is None and option.name.startswith(PRIVATE_PREFIX) and option.name not in OLD_SPELLINGS:
        return
    what = f"[{option.section}] {option.name}="
    if directive is None:
        raise unit.error(f"unknown directive {what}{_hint(option)}", option.line)
    if directive.standing is Standing.REFUSED:
        raise unit.error(f"{what} is refused: {directive.note}", option.line)


def _hint(option: Option) -> str:
    if option.name in OLD_SPELLINGS:
        return f" (it belongs in [{FLEET_SECTION}])"
    for section in SECTIONS:
        if (section, option.name) in BY_NAME:
            return f" (it belongs in [{section}])"
    return nearest(option.name, [each.name for each in DIRECTIVES if each.section == option.section])
