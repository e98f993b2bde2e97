"""The judges, judged: each finds what was planted, and nothing where there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from inaetics.fleet import keys
from inaetics.fleet.model import MachineId, UnitName
from tests.fault import history, validators
from tests.fault.history import History, Loss, Placed, Run


def _run(host: str, begin: float, last: float, *, unit: str = "a.service", pid: int = 1, stopped: bool = False) -> Run:
    return Run(unit=unit, host=host, pid=pid, begin=begin, last=last, stopped=stopped)


def _placed(revision: int, host: str, *, unit: str = "a.service", there: bool = True, withdraw: bool = False) -> Placed:
    return Placed(revision=revision, at=float(revision), unit=unit, host=host, there=there, withdraw=withdraw)


def _history(runs: Iterable[Run] = (), placements: Iterable[Placed] = (), *, until: float = 100.0) -> History:
    everywhere = frozenset({"every.service"})
    return History(runs=tuple(runs), placements=tuple(placements), everywhere=everywhere, until=until)


def _moved_at(revision: int) -> tuple[Placed, Placed]:
    return _placed(revision, "one", there=False), _placed(revision, "two")


SOUND = _history(
    [_run("one", 5, 20, stopped=True), _run("two", 20.1, 100, pid=2)],
    [_placed(4, "one"), _placed(18, "one", withdraw=True), *_moved_at(20)],
)
EVERYWHERE = _history(
    [_run(host, 5, 100, unit="every.service") for host in ("one", "two")],
    [_placed(4, host, unit="every.service") for host in ("one", "two")],
)

Judge = Callable[[History], list[str]]

JUDGES: dict[str, Judge] = {
    "placed twice": validators.placed_twice,
    "ran twice": validators.ran_twice,
    "ran unplaced": lambda seen: validators.ran_unplaced(seen, within_s=2.5),
    "moved": lambda seen: validators.moved(seen, since=0, lost={"one"}),
    "not running": lambda seen: validators.not_running(seen, {run.unit for run in seen.runs}, hosts=("one", "two")),
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
@pytest.mark.parametrize("sound", [SOUND, EVERYWHERE], ids=["a move", "a global unit"])
def test_nothing_is_found_in_a_sound_history(judge: Judge, sound: History) -> None:
    assert judge(sound) == []


PLANTED: dict[str, tuple[Judge, History, str]] = {
    "placed on two machines at one revision": (
        validators.placed_twice,
        _history(placements=[_placed(4, "one"), _placed(9, "two"), _placed(10, "one", there=False)]),
        "placed on one, two at revision 9",
    ),
    "withdrawn still counts as placed": (
        validators.placed_twice,
        _history(placements=[_placed(4, "one", withdraw=True), _placed(9, "two")]),
        "placed on one, two at revision 9",
    ),
    "two hosts run it": (
        lambda seen: validators.ran_twice(seen, allowed_s=2),
        _history([_run("one", 5, 20), _run("two", 17.9, 30)]),
        "ran twice for 2.10 s",
    ),
    "one host runs it twice": (
        validators.ran_twice,
        _history([_run("one", 5, 20), _run("one", 19, 30, pid=2)]),
        "ran twice for 1.00 s",
    ),
    "the third run overlaps the first": (
        validators.ran_twice,
        _history([_run("one", 5, 20), _run("one", 6, 6, pid=2), _run("two", 19, 30, pid=3)]),
        "ran twice for 1.00 s",
    ),
    "twice after the link was mended": (
        lambda seen: validators.ran_twice(seen, allowed_s=2, since=10),
        _history([_run("one", 0, 12.5), _run("two", 5, 30)]),
        "ran twice for 2.50 s",
    ),
    "moved though its host was well": (
        lambda seen: validators.moved(seen, since=0),
        _history(placements=[_placed(4, "one"), *_moved_at(20)]),
        "moved from one to two",
    ),
    "moved off a host that was not the lost one": (
        lambda seen: validators.moved(seen, since=0, lost={"two"}),
        _history(placements=[_placed(4, "one"), *_moved_at(20)]),
        "moved from one to two",
    ),
    "withdrawn though its host was well": (
        lambda seen: validators.moved(seen, since=0),
        _history(placements=[_placed(4, "one"), _placed(20, "one", withdraw=True)]),
        "withdrawn from one",
    ),
    "runs on after it was withdrawn": (
        lambda seen: validators.ran_unplaced(seen, within_s=2),
        _history([_run("one", 5, 23)], [_placed(4, "one"), _placed(20, "one", withdraw=True)]),
        "ran on one as 1 for 3.00 s",
    ),
    "runs on after its placement was removed": (
        lambda seen: validators.ran_unplaced(seen, within_s=2),
        _history([_run("one", 5, 23)], [_placed(4, "one"), *_moved_at(20)]),
        "ran on one as 1 for 3.00 s",
    ),
    "was never placed": (
        lambda seen: validators.ran_unplaced(seen, within_s=2),
        _history([_run("one", 5, 23)]),
        "without being placed",
    ),
    "runs on after its host could know": (
        lambda seen: validators.ran_unplaced(seen, within_s=2, excused={"one": 40}),
        _history([_run("one", 5, 43)], [_placed(4, "one"), *_moved_at(20)]),
        "for 3.00 s",
    ),
    "outlived its machine's lease": (
        lambda seen: validators.outlived_lease(seen, units={"a.service"}),
        replace(_history([_run("one", 5, 20)]), losses=(Loss(at=19, host="one"),)),
        "1.00 s after the lease of its machine had ended",
    ),
    "its process ended": (
        lambda seen: validators.restarted(seen, [_run("one", 5, 10)]),
        _history([_run("one", 5, 30)]),
        "process 1 ended at 30.00",
    ),
    "its process was stopped": (
        lambda seen: validators.restarted(seen, [_run("one", 5, 10)]),
        _history([_run("one", 5, 99.9, stopped=True)]),
        "process 1 ended",
    ),
    "another process took its place": (
        lambda seen: validators.restarted(seen, [_run("one", 5, 10)]),
        _history([_run("one", 5, 100), _run("one", 30, 100, pid=2)]),
        "process 2 was started",
    ),
    "runs nowhere": (
        lambda seen: validators.not_running(seen, ["a.service"]),
        _history([_run("one", 5, 30)]),
        "runs on no host",
    ),
    "a global unit runs not everywhere": (
        lambda seen: validators.not_running(seen, ["every.service"], hosts=("one", "two")),
        _history([_run("one", 5, 100, unit="every.service")]),
        "runs on one; wanted on one, two",
    ),
}


@pytest.mark.parametrize(("judge", "planted", "words"), PLANTED.values(), ids=PLANTED)
def test_what_was_planted_is_found(judge: Judge, planted: History, words: str) -> None:
    (finding,) = judge(planted)
    assert words in finding


ALLOWED: dict[str, tuple[Judge, History]] = {
    "stopped before its machine's lease ended, and started after": (
        lambda seen: validators.outlived_lease(seen, units={"a.service"}),
        replace(_history([_run("one", 5, 18), _run("one", 20, 30, pid=2)]), losses=(Loss(at=19, host="one"),)),
    ),
    "another host's lease ended": (
        lambda seen: validators.outlived_lease(seen, units={"a.service"}),
        replace(_history([_run("one", 5, 20)]), losses=(Loss(at=19, host="two"),)),
    ),
    "twice for less than allowed": (
        lambda seen: validators.ran_twice(seen, allowed_s=2),
        _history([_run("one", 5, 20), _run("two", 18.1, 30)]),
    ),
    "twice while nobody could know": (
        lambda seen: validators.ran_twice(seen, since=25),
        _history([_run("one", 5, 24), _run("two", 15, 30)]),
    ),
    "removed while its host could not know": (
        lambda seen: validators.ran_unplaced(seen, within_s=2, excused={"one": 40}),
        _history([_run("one", 5, 41)], [_placed(4, "one"), *_moved_at(20)]),
    ),
    "placed again on the same host": (
        lambda seen: validators.moved(seen, since=0),
        _history(placements=[_placed(4, "one"), _placed(5, "one", there=False), _placed(20, "one")]),
    ),
    "the same process all along": (
        lambda seen: validators.restarted(seen, [_run("one", 5, 10)]),
        _history([_run("one", 1, 4, pid=9), _run("one", 5, 99)]),
    ),
}


@pytest.mark.parametrize(("judge", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_is_not_found(judge: Judge, allowed: History) -> None:
    assert judge(allowed) == []


def test_lines_of_units_become_runs() -> None:
    lines = ["1.5 start one a 7", "1.75 beat one a 7", "2 stop one a 7", "9 start one a 7", "9.5 beat one a 7"]
    assert history.runs(lines) == (
        Run(unit="a", host="one", pid=7, begin=1.5, last=2, stopped=True),
        Run(unit="a", host="one", pid=7, begin=9, last=9.5),
    )


def test_lines_of_the_recorder_become_placements() -> None:
    key = keys.placement(MachineId("id-1"), UnitName("a.service"))
    records: list[history.Record] = [
        {"at": 1.0, "revision": 3, "key": key, "value": "{}"},
        {"at": 3.0, "revision": 5, "key": key, "value": None},
        {"at": 2.0, "revision": 4, "key": key, "value": '{"withdraw": true}'},
        {"at": 2.0, "revision": 4, "key": keys.unit("a.service"), "value": "{}"},
        {"at": 2.5, "gap": [7, 9]},
    ]
    assert history.placements(records, {"id-1": "one"}) == (
        Placed(revision=3, at=1.0, unit="a.service", host="one"),
        Placed(revision=4, at=2.0, unit="a.service", host="one", withdraw=True),
        Placed(revision=5, at=3.0, unit="a.service", host="one", there=False),
    )


def test_lines_of_the_recorder_become_losses() -> None:
    key = keys.machine(MachineId("id-1"))
    records: list[history.Record] = [
        {"at": 1.0, "revision": 3, "key": key, "value": "{}"},
        {"at": 3.0, "revision": 5, "key": key, "value": None},
    ]
    assert history.losses(records, {"id-1": "one"}) == (Loss(at=3.0, host="one"),)
