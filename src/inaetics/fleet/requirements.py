"""What a unit asks of its machine, read from its file once per content. Pure.

A thousand instances of one template share one parsed file, and one section unless its values depend on the name.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from inaetics.errors import InvalidInput
from inaetics.fleet.model import MachineId, UnitName
from inaetics.units.fleet_section import fleet_section
from inaetics.units.grammar import UnitFile, parse
from inaetics.units.names import parse_name
from inaetics.units.needs import needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The scheduling constraints of one unit.

    `metadata`: every key must have one of its values. `memory` is in bytes and `cpu` in thousandths of a core, 0 where
    nothing is needed. `refused` is set when the file cannot be used: nothing fits then.
    """

    machine_id: MachineId | None = None
    machine_of: tuple[UnitName, ...] = ()
    metadata: tuple[tuple[str, frozenset[str]], ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    is_global: bool = False
    memory: int = 0
    cpu: int = 0
    spread_by: str | None = None
    refused: str | None = None


@dataclass(slots=True)
class RequirementsCache:
    """Requirements by content hash and, where the file's values depend on it, by name."""

    _by_content: dict[str, Requirements] = field(default_factory=dict)
    _by_name: dict[tuple[str, UnitName], Requirements] = field(default_factory=dict)

    def of(self, name: UnitName, content_hash: str, text: str) -> Requirements:
        """Read what `text`, whose hash is `content_hash`, asks for under `name`; never raises."""
        found = self._by_content.get(content_hash) or self._by_name.get((content_hash, name))
        if found is None:
            found = self._read(name, content_hash, text)
        return found

    def keep(self, content_hashes: Set[str]) -> None:
        """Forget every content but these."""
        self._by_content = {key: value for key, value in self._by_content.items() if key in content_hashes}
        self._by_name = {key: value for key, value in self._by_name.items() if key[0] in content_hashes}

    def _read(self, name: UnitName, content_hash: str, text: str) -> Requirements:
        if not text:
            return Requirements(refused="its file is not in the store (submit it again)")
        try:
            unit_file = parse(text, source=name)
            found = _requirements(unit_file, name)
        except InvalidInput as error:
            found = self._by_name[content_hash, name] = Requirements(refused=str(error))
            return found
        if _depends_on_name(unit_file):
            self._by_name[content_hash, name] = found
        else:
            self._by_content[content_hash] = found
        return found


def _requirements(unit_file: UnitFile, name: UnitName) -> Requirements:
    section = fleet_section(unit_file, parse_name(name))
    memory, cpu = needs(unit_file, section)
    return Requirements(
        machine_id=MachineId(section.machine_id) if section.machine_id else None,
        machine_of=tuple(UnitName(peer) for peer in section.machine_of),
        metadata=tuple(sorted((key, frozenset(values)) for key, values in section.metadata.items())),
        conflicts=tuple(section.conflicts),
        replaces=tuple(section.replaces),
        is_global=section.is_global,
        memory=memory,
        cpu=cpu,
        spread_by=section.spread_by,
    )


def _depends_on_name(unit_file: UnitFile) -> bool:
    options = (option for option in unit_file.options if "X-" in (option.section[:2], option.name[:2]))
    return any("%" in option.value for option in options)
