"""The index of conflicts says what a plain look at every pair says."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.fleet.conflicts import ConflictIndex, matches
from inaetics.fleet.model import MachineId, UnitName

names = st.sampled_from([UnitName(name) for name in ("a@1", "a@2", "a@10", "ab", "b", "b@1", "[x]", "c")])
globs = st.sampled_from(["*", "a*", "a@*", "a@1", "a@?", "*1", "b", "b@[0-9]", "[[]x]", "zzz*", "c", "?"])
machines = st.sampled_from([MachineId(machine) for machine in ("m1", "m2")])
patterns = st.lists(globs, max_size=3).map(tuple)
Seat = tuple[MachineId, UnitName]


@settings(deadline=None)
@given(st.lists(st.tuples(machines, names, patterns), max_size=25), names, patterns, machines)
def test_the_index_agrees_with_looking_at_all(
    steps: list[tuple[MachineId, UnitName, tuple[str, ...]]], name: UnitName, own: tuple[str, ...], machine: MachineId
) -> None:
    """A step puts a unit on a machine, or takes it away if it is there. Seen to fail when `remove` forgets a count."""
    index = ConflictIndex()
    there: dict[Seat, tuple[str, ...]] = {}
    for where, unit, carried in steps:
        if (where, unit) in there:
            index.remove(where, unit, there.pop((where, unit)))
        else:
            index.add(where, unit, carried)
            there[where, unit] = carried
    expected = any(
        where == machine
        and (any(fnmatchcase(unit, glob) for glob in own) or any(fnmatchcase(name, glob) for glob in carried))
        for (where, unit), carried in there.items()
    )
    assert any(machine in these for these in index.excluded(name, own)) is expected


@settings(deadline=None)
@given(names, globs)
def test_a_glob_covers_what_the_standard_library_says(name: str, glob: str) -> None:
    assert matches(glob, name) is fnmatchcase(name, glob)
