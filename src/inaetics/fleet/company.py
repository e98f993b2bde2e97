"""What contradicts itself only together with other units: circles, and companions that cannot stand each other. Pure.

Checked when units are submitted, against what is known then. What arises all the same, because two people submit at
once, does no harm: the scheduler places no unit of a circle, and the planner moves nobody back and forth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from inaetics.errors import InvalidInput
from inaetics.fleet import mapper
from inaetics.fleet.conflicts import matches
from inaetics.fleet.model import Snapshot, UnitName
from inaetics.fleet.requirements import Requirements, RequirementsCache
from inaetics.units.names import parse_name

Edges = Callable[[UnitName], Iterable[UnitName]]


def check_company(snapshot: Snapshot, files: Mapping[str, str], cache: RequirementsCache) -> None:
    """Raise InvalidInput when one of `files`, unit name → text, cannot be among the others and what is submitted."""
    _Company(snapshot, files, cache).check()


class _Company:
    def __init__(self, snapshot: Snapshot, files: Mapping[str, str], cache: RequirementsCache) -> None:
        self._snapshot = snapshot
        self._cache = cache
        self._new = {
            UnitName(name): cache.of(UnitName(name), mapper.content_hash(text), text)
            for name, text in files.items()
            if _runs(name)
        }
        self._replacers: dict[UnitName, Requirements] | None = None

    def check(self) -> None:
        for name, requirements in self._new.items():
            if requirements.machine_of:
                self._check_companions(name, requirements)
                circle = _circle(name, lambda unit: self._of(unit).machine_of)
                if circle:
                    raise InvalidInput(
                        f"cannot submit '{name}': MachineOf= goes round in a circle ({_path(circle)}):"
                        " each would wait for the other (take one MachineOf= out)"
                    )
            if requirements.replaces:
                circle = _circle(name, self._replaced_by)
                if circle:
                    raise InvalidInput(
                        f"cannot submit '{name}': Replaces= goes round in a circle ({_path(circle)}):"
                        " they would drive each other away (use Conflicts=, which keeps them apart)"
                    )

    def _check_companions(self, name: UnitName, requirements: Requirements) -> None:
        for peer in requirements.machine_of:
            for pattern in (*self._of(peer).conflicts, *self._of(peer).replaces):
                if matches(pattern, name):
                    raise InvalidInput(
                        f"cannot submit '{name}': it is to be where {peer} is (MachineOf=), which wants"
                        f" no {pattern} beside it (Conflicts= or Replaces= of {peer})"
                    )

    def _of(self, name: UnitName) -> Requirements:
        unit = self._snapshot.units.get(name)
        if name in self._new or unit is None:
            return self._new.get(name, Requirements())
        return self._cache.of(name, unit.content_hash, unit.text)

    def _replaced_by(self, name: UnitName) -> list[UnitName]:
        """Units that replace others, and that `name` replaces itself."""
        if self._replacers is None:
            names = (each for each in self._snapshot.units if not self._snapshot.units[each].is_template)
            known = {each: self._of(each) for each in (*names, *self._new)}
            self._replacers = {each: needs for each, needs in sorted(known.items()) if needs.replaces}
        patterns = self._replacers[name].replaces if name in self._replacers else ()
        return [each for each in self._replacers if each != name and any(matches(glob, each) for glob in patterns)]


def _runs(name: str) -> bool:
    """Whether a unit of this name can run; what is no name at all is refused elsewhere, in better words."""
    try:
        return not parse_name(name).is_template
    except InvalidInput:
        return False


def _circle(start: UnitName, edges: Edges) -> list[UnitName]:
    """A way from `start` back to itself; empty where there is none."""
    came_from: dict[UnitName, UnitName] = {}
    ahead = [start]
    while ahead:
        unit = ahead.pop()
        for each in edges(unit):
            if each == start:
                way = [start, unit]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1] if unit != start else [start, start]
            if each not in came_from:
                came_from[each] = unit
                ahead.append(each)
    return []


def _path(circle: list[UnitName]) -> str:
    return " → ".join(circle)
