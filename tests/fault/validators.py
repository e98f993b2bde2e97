"""What must be true of any history, whatever was broken meanwhile. Pure; each returns its findings in words.

A run is known from its first to its last word, so what these find did happen; what is shorter than a beat may escape.
Each of them was seen to find a violation: `test_validators.py` plants one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from math import inf

from tests.fault.history import History, Placed, Run

BEAT_S = 0.25
"""How often a unit gives a sign of life."""

SILENT_S = 2.0
"""Without one for so long it runs no more: a busy machine beats late."""


def placed_twice(history: History) -> list[str]:
    """Invariant 1: at no revision is a unit that is not global placed on two machines."""
    found = []
    there: dict[str, set[str]] = defaultdict(set)
    for revision, changes in groupby(history.placements, key=lambda placed: placed.revision):
        touched = set[str]()
        for change in changes:
            (there[change.unit].add if change.there else there[change.unit].discard)(change.host)
            touched.add(change.unit)
        for unit in sorted(touched - history.everywhere):
            if len(there[unit]) > 1:
                found.append(f"{unit} is placed on {', '.join(sorted(there[unit]))} at revision {revision}")
    return found


def ran_twice(
    history: History, *, allowed_s: float = 0.0, since: float = -inf, units: Collection[str] | None = None
) -> list[str]:
    """No unit that is not global runs twice, after `since`, for longer than `allowed_s`."""
    return [
        f"{one.unit} ran twice for {end - begin:.2f} s (allowed {allowed_s:g} s): on {one.host} as {one.pid}"
        f" and on {other.host} as {other.pid}, from {begin:.2f} to {end:.2f}"
        for one, other, begin, end in _overlaps(history, since, units)
        if end - begin > allowed_s
    ]


def twice_s(history: History, *, since: float = -inf, units: Collection[str] | None = None) -> float:
    """For how many seconds, at most, a unit that is not global ran twice after `since`; 0 when none did."""
    return max((end - begin for _, _, begin, end in _overlaps(history, since, units)), default=0.0)


def _overlaps(history: History, since: float, units: Collection[str] | None) -> Iterator[tuple[Run, Run, float, float]]:
    for unit, runs in _by_unit(history.runs):
        if unit in history.everywhere or (units is not None and unit not in units):
            continue
        for one, other in _pairs(runs):
            begin, end = max(one.begin, other.begin, since), min(one.last, other.last)
            if end > begin:
                yield one, other, begin, end


def moved(history: History, *, since: float, lost: Collection[str] = (), besides: Collection[str] = ()) -> list[str]:
    """Nothing moves that need not: after `since` only units of the `lost` hosts are placed elsewhere.

    `besides` are units that people changed meanwhile.
    """
    found = []
    last: dict[str, str] = {}
    for placed in history.placements:
        if not placed.there or placed.unit in history.everywhere or placed.unit in besides:
            continue
        before = last.get(placed.unit)
        if placed.at >= since and before not in (None, placed.host) and before not in lost:
            found.append(f"{placed.unit} moved from {before} to {placed.host} at revision {placed.revision}")
        if placed.at >= since and placed.withdraw and placed.host not in lost:
            found.append(f"{placed.unit} was withdrawn from {placed.host} at revision {placed.revision}")
        last[placed.unit] = placed.host
    return found


def ran_unplaced(
    history: History, *, within_s: float, since: float = -inf, excused: Mapping[str, float] | None = None
) -> list[str]:
    """Whatever is withdrawn stops, and what was never placed does not run: each within `within_s`.

    `excused` maps hosts to the instant from which they can know: when their link was mended.
    """
    found = []
    for run in history.runs:
        if run.last < since:
            continue
        changes = [each for each in history.placements if (each.unit, each.host) == (run.unit, run.host)]
        knows = (excused or {}).get(run.host, -inf)
        for begin, end in _unplaced(changes):
            ran_from, ran_to = max(run.begin, begin, since, knows), min(run.last, end)
            if ran_to - ran_from > within_s:
                found.append(
                    f"{run.unit} ran on {run.host} as {run.pid} for {ran_to - ran_from:.2f} s (allowed {within_s:g} s)"
                    f" without being placed there, from {ran_from:.2f} to {ran_to:.2f}"
                )
    return found


def outlived_lease(history: History, *, units: Collection[str], since: float = -inf) -> list[str]:
    """Invariant 5: none of `units` (with `OnLost=stop`) runs on a machine whose lease has ended."""
    found = []
    for loss in history.losses:
        for run in history.runs:
            there = run.unit in units and run.host == loss.host and loss.at >= since
            if there and run.begin <= loss.at < run.last:
                found.append(
                    f"{run.unit} ran on {run.host} as {run.pid} until {run.last:.2f}, {run.last - loss.at:.2f} s"
                    " after the lease of its machine had ended"
                )
    return found


def restarted(history: History, before: Iterable[Run]) -> list[str]:
    """The processes `before` still run: same numbers, and no other beside or after them."""
    found = []
    now = {(run.unit, run.host, run.pid, run.begin): run for run in history.runs}
    for run in before:
        same = now[run.unit, run.host, run.pid, run.begin]
        if same.stopped or not lives(same, history.until):
            found.append(f"{run.unit} on {run.host}: process {run.pid} ended at {same.last:.2f}")
        later = [each for each in history.runs if (each.unit, each.host) == (run.unit, run.host)]
        found += [
            f"{run.unit} on {run.host}: process {each.pid} was started at {each.begin:.2f} while {run.pid} was there"
            for each in later
            if each.begin > run.begin
        ]
    return found


def not_running(history: History, wanted: Iterable[str], *, hosts: Collection[str] = ()) -> list[str]:
    """In the end each unit of `wanted` runs once, or once on each of `hosts` if it is global."""
    found = []
    for unit in sorted(wanted):
        where = sorted(run.host for run in history.runs if run.unit == unit and lives(run, history.until))
        if unit in history.everywhere and where != sorted(hosts):
            found.append(f"{unit} runs on {', '.join(where) or 'no host'}; wanted on {', '.join(sorted(hosts))}")
        if unit not in history.everywhere and len(where) != 1:
            found.append(f"{unit} runs on {', '.join(where) or 'no host'}; wanted on one")
    return found


def lives(run: Run, until: float) -> bool:
    """Whether the run had a beat shortly before `until`."""
    return not run.stopped and until - run.last <= SILENT_S


def _by_unit(runs: Iterable[Run]) -> Iterator[tuple[str, list[Run]]]:
    for unit, each in groupby(sorted(runs, key=lambda run: (run.unit, run.begin)), key=lambda run: run.unit):
        yield unit, list(each)


def _pairs(runs: list[Run]) -> Iterator[tuple[Run, Run]]:
    for index, one in enumerate(runs):
        yield from ((one, other) for other in runs[index + 1 :])


def _unplaced(changes: list[Placed]) -> Iterator[tuple[float, float]]:
    """The spans in which a unit is not to run on a host, by the placements of the two in order."""
    spans = [(-inf, False), *((change.at, change.there and not change.withdraw) for change in changes), (inf, False)]
    for (begin, placed), (end, _) in pairwise(spans):
        if not placed:
            yield begin, end
