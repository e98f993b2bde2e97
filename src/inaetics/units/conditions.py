"""Conditions and assertions of [Unit]: what must hold on the host for a start to be done. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from inaetics.errors import UnitFileError
from inaetics.override import override
from inaetics.units.service_reader import Reader

PATH_KINDS = (
    "PathExists",
    "PathExistsGlob",
    "PathIsDirectory",
    "PathIsSymbolicLink",
    "PathIsMountPoint",
    "PathIsReadWrite",
    "DirectoryNotEmpty",
    "FileNotEmpty",
    "FileIsExecutable",
)
OTHER_KINDS = ("Host", "Architecture", "KernelCommandLine", "Memory", "CPUs", "Environment", "User", "Group")
KINDS = PATH_KINDS + OTHER_KINDS
"""What can be asked; written with Condition or Assert before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One question about the host, such as PathExists of `/etc/x`.

    `alternative` (prefix `|`): of all those at least one must hold; `negated` (prefix `!`). When an assertion does
    not hold the start fails; when a condition does not, the start is left out without failing.
    """

    kind: str
    parameter: str
    negated: bool = False
    alternative: bool = False
    is_assertion: bool = False

    @override
    def __str__(self) -> str:
        marks = f"{'|' if self.alternative else ''}{'!' if self.negated else ''}"
        return f"{'Assert' if self.is_assertion else 'Condition'}{self.kind}={marks}{self.parameter}"


def read_conditions(reader: Reader) -> tuple[Condition, ...]:
    """Read them in the order written; an empty one forgets all of its family before it, whatever their kind."""
    return (*_family(reader, "Condition"), *_family(reader, "Assert"))


def _family(reader: Reader, family: str) -> list[Condition]:
    found: list[Condition] = []
    names = {f"{family}{kind}" for kind in KINDS}
    for option in reader.unit.options:
        if option.section == "Unit" and option.name in names:
            if option.value:
                found.append(reader.read(option, partial(_condition, reader, option.name, family)))
            else:
                found.clear()
    return found


def _condition(reader: Reader, name: str, family: str, text: str) -> Condition:
    kind = name.removeprefix(family)
    alternative = text.startswith("|")
    rest = text.removeprefix("|").lstrip()
    negated = rest.startswith("!")
    parameter = reader.expanded(rest.removeprefix("!").lstrip())
    if kind in PATH_KINDS and not parameter.startswith("/"):
        raise UnitFileError(f"{parameter!r} is no absolute path")
    if not parameter:
        raise UnitFileError(f"{text!r} asks for nothing")
    return Condition(
        kind=kind,
        parameter=parameter,
        negated=negated,
        alternative=alternative,
        is_assertion=family == "Assert",
    )
