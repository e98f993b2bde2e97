"""What `fleetctl status` shows of a unit, and whether it counts as running."""

from __future__ import annotations

import msgspec
import pytest

from inaetics.api.wire import ConstraintVerdict, ExplainReport, MachineRef, MachineVerdict, StateEntry, UnitEntry
from inaetics.cli.unit_status import Status

EVERYWHERE = UnitEntry(name="all.service", hash="c0ffee1234", desired="launched", current="inactive", is_global=True)


def state(number: int, active: str = "active", message: str = "") -> StateEntry:
    machine = MachineRef(f"{number:032x}", f"worker-{number}", f"127.17.8.{100 + number}")
    return StateEntry(
        name="all.service", machine=machine, load="loaded", active=active, sub="x", hash="", message=message
    )


def report(*fitting: int, of: int = 3) -> ExplainReport:
    machines = tuple(
        MachineVerdict(
            f"{n:032x}",
            f"worker-{n}",
            n in fitting,
            (ConstraintVerdict("MachineMetadata", n in fitting, "has no disk"),),
        )
        for n in range(1, of + 1)
    )
    return ExplainReport(unit="all.service", summary="no machine fits", waits=False, machines=machines)


@pytest.mark.parametrize(
    ("states", "fitting", "runs"),
    [
        pytest.param([state(1), state(2)], (1, 2), True, id="on-every-machine-that-fits"),
        pytest.param([state(1), state(2, "activating")], (1, 2), True, id="one-on-its-way"),
        pytest.param([state(1), state(2, "failed")], (1, 2), False, id="failed-on-one"),
        pytest.param([state(1)], (1, 2), False, id="not-there-yet-on-one"),
        pytest.param([state(1), state(3)], (1,), True, id="also-on-one-that-fits-no-more"),
        pytest.param([], (), False, id="nowhere"),
    ],
)
def test_a_global_unit_runs_when_it_does_everywhere(
    states: list[StateEntry], fitting: tuple[int, ...], runs: bool
) -> None:
    assert Status(unit=EVERYWHERE, states=states, report=report(*fitting)).runs is runs


def test_a_global_unit_that_fits_nowhere_says_what_each_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = list(Status(unit=EVERYWHERE, states=[], report=report(of=2)).lines())
    assert lines[3:] == [
        "   Wanted: launched, on every machine that fits",
        "    Waits: no machine fits",
        "           MACHINE   FITS  MachineMetadata  BECAUSE",
        "           worker-1  no    fails            has no disk",
        "           worker-2  no    fails            has no disk",
    ]
    stopped = msgspec.structs.replace(EVERYWHERE, desired="inactive")
    assert len(list(Status(unit=stopped, states=[], report=report(of=2)).lines())) == 4


def test_a_global_unit_is_shown_machine_by_machine() -> None:
    status = Status(unit=EVERYWHERE, states=[state(1), state(2, "failed", "status 1")], report=report(1, 2, 3))
    assert list(status.lines()) == [
        "● all.service",
        "   Loaded: on 2 of 3 machines (c0ffee1)",
        "   Active: on 1 of 3 machines",
        "   Wanted: launched, on every machine that fits",
        "           worker-1  active (x)",
        "           worker-2  failed (x): status 1",
        "           worker-3  no report yet",
    ]
