"""Why a unit is where it is, or waits: machine by machine, and what would make it fit. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inaetics.errors import NotFound
from inaetics.fleet.board import Board
from inaetics.fleet.conflicts import matches
from inaetics.fleet.model import Machine, MachineId, Placement, Snapshot, Unit, UnitName, natural
from inaetics.fleet.requirements import Requirements, RequirementsCache
from inaetics.fleet.scheduler import Scheduler, is_wanted

_SHOWN = 3
"""Names of machines or units in one line of a summary; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one constraint says about one machine.

    `constraint` is the option's name, "cordoned" or "unit file". `because` is for people: "runs felix@1.service";
    `remedy` says what would make it hold, and is empty where it holds or nothing helps.
    """

    constraint: str
    holds: bool
    because: str
    remedy: str = ""
    units: tuple[UnitName, ...] = ()
    """Who is in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineVerdict:
    """Whether one machine may run the unit, constraint by constraint. The unit's own place there does not count."""

    machine: MachineId
    name: str
    verdicts: tuple[Verdict, ...]

    @property
    def fits(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`summary` is one line; `waits` says whether the unit is wanted on a machine and has none to run on.

    `remedies` says what would make it fit, each on its own, the most helpful first.
    """

    unit: UnitName
    summary: str
    waits: bool
    machines: tuple[MachineVerdict, ...] = ()
    remedies: tuple[str, ...] = ()


def explain(snapshot: Snapshot, unit: str) -> Explanation:
    """Explain one unit. Raises NotFound. For several of one snapshot use `Explainer`, which indexes it once."""
    return Explainer(snapshot).explain(unit)


class Explainer:
    """Explains units of one snapshot; one that is a live view must not change meanwhile."""

    def __init__(self, snapshot: Snapshot, cache: RequirementsCache | None = None) -> None:
        self._snapshot = snapshot
        self._board = Board(snapshot, cache or RequirementsCache())
        self._scheduler = Scheduler(self._board)

    def explain(self, name: str) -> Explanation:
        """Explain one unit. Raises NotFound."""
        unit = self._snapshot.units.get(UnitName(name))
        if unit is None:
            raise NotFound(f"no unit '{name}' is submitted (what there is: fleetctl list-unit-files)")
        placements = [self._board.placement(machine, unit.name) for machine in self._board.machines_of(unit.name)]
        machines = tuple(self._verdicts(unit))
        waits = is_wanted(unit) and not unit.is_template and not any(self._holds(each) for each in placements)
        return Explanation(
            unit=unit.name,
            summary=self._summary(unit, placements, machines),
            waits=waits,
            machines=machines,
            remedies=_remedies(machines) if waits else (),
        )

    def _holds(self, placement: Placement) -> bool:
        return placement.machine in self._snapshot.machines and not placement.withdraw

    # One line.

    def _summary(self, unit: Unit, placements: list[Placement], machines: tuple[MachineVerdict, ...]) -> str:
        if unit.is_template:
            return "a template: its instances are what runs"
        if not is_wanted(unit):
            leaving = "; ".join(self._place_line(each) for each in placements)
            return f"submitted only, nobody asked for it to be loaded or started{'; ' if leaving else ''}{leaving}"
        requirements = self._board.requirements(unit)
        if requirements.refused:
            return f"its unit file is refused: {requirements.refused}"
        if self._scheduler.in_circle(unit.name, requirements):
            return f"MachineOf={' '.join(requirements.machine_of)} leads back to itself: no machine can be right"
        if placements and (requirements.is_global or any(self._holds(each) for each in placements)):
            return "; ".join(self._place_line(each) for each in placements)
        before = "".join(f"{self._place_line(each)}; " for each in placements)
        return before + _nowhere(machines, bool(placements))

    def _place_line(self, placement: Placement) -> str:
        machine = self._snapshot.machines.get(placement.machine)
        name = machine.name if machine else placement.machine_name or placement.machine
        if machine is None:
            return f"its machine {name} does not answer"
        if placement.withdraw:
            return f"{name} is giving it up: {placement.reason}"
        return f"on {name}: {placement.reason}"

    # Machine by machine.

    def _verdicts(self, unit: Unit) -> Iterator[MachineVerdict]:
        requirements = self._board.requirements(unit)
        for machine in sorted(self._snapshot.machines.values(), key=lambda each: (natural(each.name), each.id)):
            verdicts = tuple(self._on_machine(unit.name, requirements, machine))
            yield MachineVerdict(machine=machine.id, name=machine.name, verdicts=verdicts)

    def _on_machine(self, unit: UnitName, requirements: Requirements, machine: Machine) -> Iterator[Verdict]:
        if requirements.refused:
            yield Verdict(constraint="unit file", holds=False, because=requirements.refused)
        yield _cordoned(machine)
        if requirements.machine_id:
            yield _machine_id(requirements.machine_id, machine)
        for key, values in requirements.metadata:
            yield _metadata(key, values, machine)
        for peer in requirements.machine_of:
            yield self._peer(peer, machine)
        yield self._conflicts(unit, requirements, machine)

    def _peer(self, peer: UnitName, machine: Machine) -> Verdict:
        if peer in self._board.units_on(machine.id):
            return Verdict(constraint="MachineOf", holds=True, because=f"runs {peer}")
        known = self._snapshot.units.get(peer)
        remedy = f"fleetctl start {peer}" if not is_wanted(known) else ""
        because = f"does not run {peer}" if known else f"does not run {peer}, which is not submitted"
        return Verdict(constraint="MachineOf", holds=False, because=because, remedy=remedy)

    def _conflicts(self, unit: UnitName, requirements: Requirements, machine: Machine) -> Verdict:
        own = requirements.conflicts + requirements.replaces
        others = self._board.units_on(machine.id)
        found = [
            other
            for other in sorted(others, key=natural)
            if other != unit
            and (
                any(matches(pattern, other) for pattern in own)
                or any(matches(pattern, unit) for pattern in others[other].conflicts + others[other].replaces)
            )
        ]
        if not found:
            return Verdict(constraint="Conflicts", holds=True, because="nothing there conflicts with it")
        because = f"runs {_listed(found)}, which it conflicts with"
        return Verdict(
            constraint="Conflicts", holds=False, because=because, remedy="one more machine", units=tuple(found)
        )


def _cordoned(machine: Machine) -> Verdict:
    if not machine.cordoned:
        return Verdict(constraint="cordoned", holds=True, because="takes new units")
    remedy = f"an end to the cordon of {machine.name}"
    return Verdict(constraint="cordoned", holds=False, because="is cordoned: it takes no new units", remedy=remedy)


def _machine_id(wanted: MachineId, machine: Machine) -> Verdict:
    holds = wanted == machine.id
    because = "is the machine it asks for" if holds else f"is not machine {wanted[:8]}, which it asks for"
    return Verdict(constraint="MachineID", holds=holds, because=because)


def _metadata(key: str, values: frozenset[str], machine: Machine) -> Verdict:
    has, wanted = machine.metadata.get(key), " or ".join(sorted(values))
    if has in values:
        return Verdict(constraint="MachineMetadata", holds=True, because=f"has {key}={has}")
    because = f"has {key}={has}, not {wanted}" if has is not None else f"has no {key}, which must be {wanted}"
    return Verdict(constraint="MachineMetadata", holds=False, because=because, remedy=f"a machine with {key}={wanted}")


def _nowhere(machines: tuple[MachineVerdict, ...], has_place: bool) -> str:
    """Say why no machine fits; each machine counts once, by its first reason."""
    if not machines:
        return "there is no machine"
    fits = [machine.name for machine in machines if machine.fits]
    if fits:
        return f"{_listed(fits)} {'fits' if len(fits) == 1 else 'fit'}: the engine is about to decide"
    firsts = [(machine.name, next(each for each in machine.verdicts if not each.holds)) for machine in machines]
    parts = [*_conflicts_part(firsts, len(machines)), *_other_parts(firsts)]
    more = f"; {len(parts) - _SHOWN} more reasons (fleetctl explain)" if len(parts) > _SHOWN else ""
    return f"no {'other ' if has_place else ''}machine fits: {'; '.join(parts[:_SHOWN])}{more}"


def _conflicts_part(firsts: list[tuple[str, Verdict]], total: int) -> Iterator[str]:
    """Machines with somebody in the way differ only in whom: they are told together."""
    where = [f"{verdict.units[0]} on {machine}" for machine, verdict in firsts if verdict.units]
    if where:
        share = f"{len(where)} of {total} run" if len(where) > 1 else f"{len(where)} of {total} runs"
        yield f"{share} a unit it conflicts with ({_listed(where)})"


def _other_parts(firsts: list[tuple[str, Verdict]]) -> list[str]:
    """The reasons most machines share come first."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for machine, verdict in firsts:
        if not verdict.units:
            groups[verdict.because].append(machine)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), natural(group[1][0])))
    return [
        f"{_listed(machines)} {because if len(machines) == 1 else _plural(because)}" for because, machines in ordered
    ]


def _plural(because: str) -> str:
    verb, _, rest = because.partition(" ")
    return f"{_PLURALS.get(verb, verb)} {rest}"


_PLURALS = {"is": "are", "has": "have", "does": "do", "runs": "run"}


def _remedies(machines: tuple[MachineVerdict, ...]) -> tuple[str, ...]:
    """What helps on a machine where only one thing is missing comes first; the same advice is given once."""
    missing = [[verdict for verdict in machine.verdicts if not verdict.holds] for machine in machines]
    missing.sort(key=len)
    advice = [verdict.remedy for verdicts in missing for verdict in verdicts if verdict.remedy]
    return tuple(dict.fromkeys(advice)) or (() if machines else ("one machine: inaetics up",))


def _listed(names: Sequence[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
