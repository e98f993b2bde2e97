"""Why a unit is where it is, or waits: machine by machine, and what would make it fit. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inaetics.errors import NotFound
from inaetics.fleet import amounts
from inaetics.fleet.board import Board
from inaetics.fleet.conflicts import matches
from inaetics.fleet.model import Machine, MachineId, Placement, Snapshot, Unit, UnitName, natural
from inaetics.fleet.requirements import Requirements, RequirementsCache
from inaetics.fleet.room import cpu_of
from inaetics.fleet.scheduler import Scheduler, is_wanted
from inaetics.fleet.spreading import template_of

_SHOWN = 3
"""Names of machines or units in one line of a summary; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one constraint says about one machine.

    `constraint` is the option's name, "cordoned" or "unit file"; a mere preference always holds. `because` is for
    people: "runs felix@1.service"; `remedy` says what would make it hold, and is empty where it does or nothing helps.
    """

    constraint: str
    holds: bool
    because: str
    remedy: str = ""
    units: tuple[UnitName, ...] = ()
    """Who is in the way."""
    lack: int = 0
    """How much of what is asked for (memory, cores) is missing."""
    too_big: bool = False
    """More is asked for than the machine has in all."""


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

    def obstacles(self, name: UnitName, besides: MachineId) -> str:
        """Why a submitted unit that is on the machine `besides` can be on no other one, in one line."""
        others = tuple(each for each in self._verdicts(self._snapshot.units[name]) if each.machine != besides)
        return _nowhere(others, has_place=True) if others else "there is no other machine"

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
        if placements and requirements.is_global:
            return self._everywhere(placements)
        if any(self._holds(each) for each in placements):
            return "; ".join(self._place_line(each) for each in placements)
        before = "".join(f"{self._place_line(each)}; " for each in placements)
        return before + _nowhere(machines, bool(placements))

    def _everywhere(self, placements: list[Placement]) -> str:
        """Of a global unit: what is the same of several machines is said once."""
        same: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for placement in placements:
            before, name, after = self._place(placement)
            same[before, after].append(name)
        return "; ".join(
            f"{before}{_listed(sorted(names, key=natural))}{after}" for (before, after), names in same.items()
        )

    def _place_line(self, placement: Placement) -> str:
        return "".join(self._place(placement))

    def _place(self, placement: Placement) -> tuple[str, str, str]:
        """What is said of a placement: the machine's name, and what stands before and after it."""
        machine = self._snapshot.machines.get(placement.machine)
        if machine is None:
            return "its machine ", placement.machine_name or placement.machine, " does not answer"
        if placement.withdraw:
            return "", machine.name, f" is giving it up: {placement.reason}"
        return "on ", machine.name, f": {placement.reason}"

    # Machine by machine.

    def _verdicts(self, unit: Unit) -> Iterator[MachineVerdict]:
        requirements = self._board.requirements(unit)
        for machine in sorted(self._snapshot.machines.values(), key=lambda each: (natural(each.name), each.id)):
            verdicts = tuple(self._on_machine(unit.name, requirements, machine))
            yield MachineVerdict(machine=machine.id, name=machine.name, verdicts=verdicts)

    def _on_machine(self, unit: UnitName, requirements: Requirements, machine: Machine) -> Iterator[Verdict]:
        if requirements.refused:
            yield Verdict(constraint="unit file", holds=False, because=requirements.refused)
        if self._scheduler.in_circle(unit, requirements):
            yield Verdict(constraint="MachineOf", holds=False, because="is no place for a unit that goes with itself")
        yield _cordoned(machine)
        if requirements.machine_id:
            yield _machine_id(requirements.machine_id, machine)
        for key, values in requirements.metadata:
            yield _metadata(key, values, machine)
        for peer in requirements.machine_of:
            yield self._peer(peer, machine)
        yield self._conflicts(unit, requirements, machine)
        yield from self._room(unit, requirements, machine)
        if requirements.spread_by:
            yield self._spread(unit, requirements.spread_by, machine)

    def _room(self, unit: UnitName, requirements: Requirements, machine: Machine) -> Iterator[Verdict]:
        """What the unit itself takes there now counts as free."""
        own = self._board.units_on(machine.id).get(unit, Requirements())
        room = self._board.room
        memory, cpu = room.free_memory(machine), room.free_cpu(machine)
        if requirements.memory and machine.memory is not None and memory is not None:
            yield _memory(requirements.memory, memory + own.memory, machine.memory, machine.name)
        if requirements.cpu and machine.cores is not None and cpu is not None:
            yield _cpu(requirements.cpu, cpu + own.cpu, cpu_of(machine.cores), machine.name)

    def _spread(self, unit: UnitName, key: str, machine: Machine) -> Verdict:
        value = machine.metadata.get(key)
        if value is None:
            return Verdict(constraint="SpreadBy", holds=True, because=f"has no {key}: it comes last")
        count = self._board.spread(unit, key).count(value)
        because = f"has {key}={value}, where {count} of {template_of(unit)} {'is' if count == 1 else 'are'}"
        return Verdict(constraint="SpreadBy", holds=True, because=because)

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
        remedy = f"{machine.name} without {_listed(found)}"
        return Verdict(constraint="Conflicts", holds=False, because=because, remedy=remedy, units=tuple(found))


def _cordoned(machine: Machine) -> Verdict:
    if not machine.cordoned:
        return Verdict(constraint="cordoned", holds=True, because="takes new units")
    because = "is drained: its units leave" if machine.draining else "is cordoned: it takes no new units"
    remedy = f"fleetctl uncordon {machine.name}"
    return Verdict(constraint="cordoned", holds=False, because=because, remedy=remedy)


def _memory(need: int, free: int, total: int, name: str) -> Verdict:
    if need <= free:
        return Verdict(constraint="Memory", holds=True, because=f"has {amounts.memory(need)} of memory free")
    lack, too_big = need - free, need > total
    less = f"{amounts.memory(lack)} less in use on {name}"
    return Verdict(
        constraint="Memory",
        holds=False,
        because=amounts.lack_of_memory(need, free, total),
        remedy=f"a machine with {amounts.memory(need)} of memory" if too_big else less,
        lack=lack,
        too_big=too_big,
    )


def _cpu(need: int, free: int, total: int, name: str) -> Verdict:
    if need <= free:
        return Verdict(constraint="CPU", holds=True, because=f"has {amounts.cores(need)} free")
    lack, too_big = need - free, need > total
    return Verdict(
        constraint="CPU",
        holds=False,
        because=amounts.lack_of_cores(need, free, total),
        remedy=f"a machine with {amounts.cores(need)}" if too_big else f"{amounts.cores(lack)} less in use on {name}",
        lack=lack,
        too_big=too_big,
    )


def _machine_id(wanted: MachineId, machine: Machine) -> Verdict:
    holds = wanted == machine.id
    because = "is the machine it asks for" if holds else f"is not machine {wanted[:8]}, which it asks for"
    return Verdict(constraint="MachineID", holds=holds, because=because)


def _metadata(key: str, values: frozenset[str], machine: Machine) -> Verdict:
    has, wanted = machine.metadata.get(key), " or ".join(sorted(values))
    if has in values:
        return Verdict(constraint="MachineMetadata", holds=True, because=f"has {key}={has}")
    because = f"has {key}={has}, not {wanted}" if has is not None else f"has no {key}, which must be {wanted}"
    remedy = f"fleetctl metadata {machine.name} {key}={min(values)}"
    return Verdict(constraint="MachineMetadata", holds=False, because=because, remedy=remedy)


def _nowhere(machines: tuple[MachineVerdict, ...], has_place: bool) -> str:
    """Say why no machine fits; each machine counts once, by its first reason."""
    if not machines:
        return "there is no machine"
    fits = [machine.name for machine in machines if machine.fits]
    if fits:
        return f"{_listed(fits)} {'fits' if len(fits) == 1 else 'fit'}: the engine is about to decide"
    firsts = [(machine.name, next(each for each in machine.verdicts if not each.holds)) for machine in machines]
    parts = [*_conflicts_part(firsts, len(machines)), *_room_parts(firsts), *_other_parts(firsts)]
    left = len(parts) - _SHOWN
    more = f"; {left} more reason{'s' if left > 1 else ''} (fleetctl explain)" if left > 0 else ""
    return f"no {'other ' if has_place else ''}machine fits: {'; '.join(parts[:_SHOWN])}{more}"


def _conflicts_part(firsts: list[tuple[str, Verdict]], total: int) -> Iterator[str]:
    """Machines with somebody in the way differ only in whom: they are told together."""
    where = [f"{verdict.units[0]} on {machine}" for machine, verdict in firsts if verdict.units]
    if where:
        share = f"{len(where)} of {total} run" if len(where) > 1 else f"{len(where)} of {total} runs"
        yield f"{share} a unit it conflicts with ({_listed(where)})"


def _room_parts(firsts: list[tuple[str, Verdict]]) -> Iterator[str]:
    """Machines without room differ only in how much: the one that lacks least stands for all."""
    for constraint in ("Memory", "CPU"):
        short = [(verdict.lack, machine, verdict) for machine, verdict in firsts if verdict.constraint == constraint]
        if short:
            _, machine, verdict = min(short, key=lambda each: (each[0], natural(each[1])))
            others = f", the most of {len(short)}" if len(short) > 1 else ""
            yield f"it {verdict.because} on {machine}{others}"


def _other_parts(firsts: list[tuple[str, Verdict]]) -> list[str]:
    """The reasons most machines share come first."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for machine, verdict in firsts:
        if not verdict.units and not verdict.lack:
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
    """What helps on a machine where only one thing is missing comes first; of one kind only a few."""
    if not machines:
        return ("one machine: inaetics up",)
    missing = [[verdict for verdict in machine.verdicts if not verdict.holds] for machine in machines]
    missing.sort(key=lambda verdicts: (len(verdicts), sum(verdict.lack for verdict in verdicts)))
    advice: dict[str, None] = {}
    given: Counter[tuple[str, ...]] = Counter()
    for verdicts in missing:
        kind, remedy = tuple(verdict.constraint for verdict in verdicts), _remedy(verdicts)
        if remedy and remedy not in advice and given[kind] < _SHOWN:
            given[kind] += 1
            advice[remedy] = None
    if any(each and all(verdict.constraint in _SCARCE and not verdict.too_big for verdict in each) for each in missing):
        advice["one more machine"] = None
    return tuple(advice)


def _remedy(missing: Sequence[Verdict]) -> str:
    """What would make one machine fit: all of it together, and nothing where one thing cannot be helped there."""
    if too_big := [verdict.remedy for verdict in missing if verdict.too_big]:
        return too_big[0]
    return " and ".join(verdict.remedy for verdict in missing) if all(verdict.remedy for verdict in missing) else ""


_SCARCE = {"Conflicts", "Memory", "CPU", "cordoned"}
"""What another machine of the same kind would not be short of."""


def _listed(names: Sequence[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
