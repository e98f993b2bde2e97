"""Which units make a set bigger or smaller, and how big the workers let it become. Pure.

Promises: applied, a plan leaves nothing to plan; a unit that is not of the set is never touched; the same set and the
same units give the same plan, whatever the order in which they are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count as numbers
from itertools import islice

from inaetics.api.scale_wire import Rules, SetEntry, SetRule
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.fleet.actions import Place
from inaetics.fleet.batch import Wish
from inaetics.fleet.model import Desired, Snapshot, Unit, UnitName
from inaetics.fleet.planner import Planner
from inaetics.fleet.requirements import RequirementsCache
from inaetics.units.names import parse_name

MOST_AGENTS = 1000
_AGENTS = re.compile(r"(?P<prefix>[A-Za-z0-9:_.-]+)@(?P<number>[0-9]{1,6})(?P<open>\+?)")


@dataclass(frozen=True, slots=True)
class Agents:
    """One name, or with `open` every number from `first` on."""

    prefix: str
    first: int
    open: bool

    @property
    def template(self) -> UnitName:
        return UnitName(f"{self.prefix}@.service")

    def unit(self, number: int) -> UnitName:
        return UnitName(f"{self.prefix}@{number}.service")

    def number(self, unit: str) -> int | None:
        """Which of these a unit is; None for any other."""
        found = re.fullmatch(re.escape(self.prefix) + r"@([0-9]{1,6})\.service", unit)
        number = int(found[1]) if found and str(int(found[1])) == found[1] else -1
        return number if number == self.first or (self.open and number > self.first) else None


def read_agents(text: str) -> Agents:
    """Read `celix@1` or `celix@2+`. Raises `InvalidInput`."""
    found = _AGENTS.fullmatch(text)
    if found is None:
        raise InvalidInput(f"{text!r} names no agents of a set: write celix@1, or celix@2+ for all from 2 on")
    return Agents(found["prefix"], int(found["number"]), bool(found["open"]))


def check_rules(rules: Rules) -> None:
    """Raise `InvalidInput` for sets that cannot work: no agents, bounds that cross, a name in two of them."""
    claimed: dict[str, str] = {}
    for kind, rule in sorted(rules.sets.items()):
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", kind):
            raise InvalidInput(f"{kind!r} is no name for a set: small letters, digits and dashes")
        if not rule.agents:
            raise InvalidInput(f'the set {kind!r} names no agents (agents = ["celix@1"])')
        if not 0 <= rule.least <= (rule.most if rule.most is not None else rule.least) <= MOST_AGENTS:
            raise InvalidInput(f"the set {kind!r} is to have {rule.least} to {rule.most} agents: 0 to {MOST_AGENTS}")
        for text in rule.agents:
            agents = read_agents(text)
            for other, owner in claimed.items():
                if _overlap(agents, read_agents(other)):
                    raise InvalidInput(f"{text!r} of the set {kind!r} is in {owner!r} already ({other})")
            claimed[text] = kind


def _overlap(one: Agents, other: Agents) -> bool:
    if one.prefix != other.prefix:
        return False
    low, high = sorted((one, other), key=lambda each: each.first)
    return low.open or low.first == high.first


def members(rule: SetRule, units: Iterable[Unit]) -> list[UnitName]:
    """The units of the set that shall run: in the order of its names, then by number."""
    wanted = [unit.name for unit in units if unit.desired is Desired.LAUNCHED]
    found: list[UnitName] = []
    for agents in map(read_agents, rule.agents):
        numbered = [(number, name) for name in wanted if (number := agents.number(name)) is not None]
        found += [name for _, name in sorted(numbered)]
    return found


def candidates(rule: SetRule, present: Iterable[UnitName]) -> Iterator[UnitName]:
    """What the set would grow by, one after the other."""
    taken, every = set(present), [read_agents(text) for text in rule.agents]
    for agents in every:
        if not agents.open and agents.unit(agents.first) not in taken:
            yield agents.unit(agents.first)
    last = every[-1]
    if last.open:
        yield from (name for number in numbers(last.first) if (name := last.unit(number)) not in taken)


def wishes(rule: SetRule, snapshot: Snapshot, count: int) -> list[Wish]:
    """What to ask of which units so that `count` of the set shall run.

    Raises `InvalidInput` where the set has no more names, `NotFound` where a template is not submitted.
    """
    present = members(rule, snapshot.units.values())
    if count <= len(present):
        return [Wish(name=name, destroy=True) for name in reversed(present[count:])]
    new = list(islice(candidates(rule, present), count - len(present)))
    if len(new) < count - len(present):
        raise InvalidInput(f"there are only {len(present) + len(new)} agents of this set ({', '.join(rule.agents)})")
    return [_start(snapshot, name) for name in new]


def _start(snapshot: Snapshot, name: UnitName) -> Wish:
    known = snapshot.units.get(name)
    if known is not None:
        return Wish(name=name, desired=Desired.LAUNCHED)
    return Wish(name=name, text=_text(snapshot, name), desired=Desired.LAUNCHED)


def _text(snapshot: Snapshot, name: UnitName) -> str:
    template = UnitName(parse_name(name).template)
    unit = snapshot.units.get(template)
    if unit is None:
        raise NotFound(
            f"cannot start {name}: its template {template} is not submitted"
            " (the demonstrator's units: inaetics_fleet_manager --start)"
        )
    return unit.text


def room(rule: SetRule, snapshot: Snapshot, cache: RequirementsCache) -> int:
    """How many agents of the set the workers could hold, as they are: what runs, what waits, and what else fits.

    It is found by planning for more than can fit; so whatever keeps units apart (ports, metadata, memory) counts.
    """
    present = members(rule, snapshot.units.values())
    most = MOST_AGENTS if rule.most is None else rule.most
    more = min(max(most - len(present), 0), 2 * len(snapshot.machines) + 1)
    extra = {name: unit for name in islice(candidates(rule, present), more) if (unit := _imagined(snapshot, name))}
    units = {**snapshot.units, **extra}
    staying = {key: each for key, each in snapshot.placements.items() if each.unit in units and not each.withdraw}
    planner = Planner(replace(snapshot, units=units, placements=staying), cache)
    actions = planner.plan(lost=frozenset(planner.absent_holders()))
    placed = {action.unit.name for action in actions if isinstance(action, Place)}
    placed |= {each.unit for each in staying.values() if each.machine in snapshot.machines}
    return len(placed & {*present, *extra})


def _imagined(snapshot: Snapshot, name: UnitName) -> Unit | None:
    known = snapshot.units.get(name) or snapshot.units.get(UnitName(parse_name(name).template))
    if known is None:
        return None
    return replace(known, name=name, desired=Desired.LAUNCHED)


def entry(kind: str, rule: SetRule, snapshot: Snapshot, cache: RequirementsCache) -> SetEntry:
    """The set as it is."""
    present = members(rule, snapshot.units.values())
    active = {
        state.unit
        for state in snapshot.states.values()
        if state.active == "active" and state.machine in snapshot.machines
    }
    fits = room(rule, snapshot, cache)
    return SetEntry(
        kind=kind,
        wanted=len(present),
        running=len(active.intersection(present)),
        least=rule.least,
        most=fits if rule.most is None else min(rule.most, fits),
        room=fits,
        limit=rule.most,
        automatic=rule.automatic,
        units=tuple(present),
    )


def check_count(now: SetEntry, count: int, workers: int) -> None:
    """Raise `InvalidInput` for a number that cannot be, `Conflict` for one beyond the workers; both say what can."""
    kind = now.kind
    if count < now.least:
        raise InvalidInput(f"cannot have {count} {kind}: there are at least {now.least}")
    if count > (now.limit if now.limit is not None else MOST_AGENTS):
        raise InvalidInput(
            f"cannot have {count} {kind}: at most {now.limit if now.limit is not None else MOST_AGENTS} are allowed"
            f" (an operator sets that: inaetics scale {kind} --most {count})"
        )
    if count > now.wanted and count > now.room:
        raise Conflict(
            f"cannot have {count} {kind}: the cluster's {workers} workers have room for {now.room}"
            " (more workers: inaetics up --workers N)"
        )
