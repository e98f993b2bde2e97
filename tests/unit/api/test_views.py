"""What clients see of a snapshot: the original's states, machines that are gone, reasons."""

from __future__ import annotations

import pytest

from inaetics.api import views
from inaetics.fleet.model import Desired, Machine, MachineId, Placement, Snapshot, Unit, UnitName, UnitState

M1, M2 = MachineId("1" * 32), MachineId("2" * 32)
U = UnitName("hello.service")
TEXT = "[Unit]\nDescription=Says hello\n[Service]\nExecStart=/bin/true\n"


def machine(machine_id: MachineId, name: str = "worker-1", address: str = "127.17.8.101") -> Machine:
    return Machine(id=machine_id, name=name, address=address, incarnation="a", metadata={"role": "inaetics-agent"})


def unit(desired: Desired = Desired.LAUNCHED, text: str = TEXT, name: UnitName = U) -> Unit:
    return Unit(name=name, text=text, content_hash="c0ffee", desired=desired, generation=1, revision=3)


def placement(on: MachineId = M1, desired: Desired = Desired.LAUNCHED, *, withdraw: bool = False) -> Placement:
    return Placement(
        unit=U,
        machine=on,
        content_hash="c0ffee",
        desired=desired,
        reason="least loaded",
        since=1.0,
        withdraw=withdraw,
        revision=10,
    )


def state(active: str, *, answers: int = 10, on: MachineId = M1, load: str = "loaded") -> UnitState:
    return UnitState(
        unit=U,
        machine=on,
        load=load,
        active=active,
        sub="x",
        content_hash="c0ffee",
        placement_revision=answers,
    )


def snapshot(*, units: list[Unit], placed: list[Placement], states: list[UnitState], gone: bool = False) -> Snapshot:
    machines = [] if gone else [machine(M1), machine(M2, "worker-2", "127.17.8.102")]
    return Snapshot(
        revision=12,
        units={one.name: one for one in units},
        machines={one.id: one for one in machines},
        placements={(one.machine, one.unit): one for one in placed},
        states={(one.machine, one.unit): one for one in states},
    )


def why(name: UnitName) -> str:
    return f"no machine fits {name}"


@pytest.mark.parametrize(
    ("placed", "reported", "current"),
    [
        pytest.param(None, None, "inactive", id="on-no-machine"),
        pytest.param(placement(), None, "inactive", id="placed-and-not-reported"),
        pytest.param(placement(), state("inactive", answers=9), "loaded", id="reported-and-not-answered"),
        pytest.param(placement(), state("active"), "launched", id="runs"),
        pytest.param(placement(), state("failed"), "launched", id="failed-but-was-launched"),
        pytest.param(placement(), state("inactive"), "launched", id="a-oneshot-that-is-done"),
        pytest.param(placement(desired=Desired.LOADED), state("active"), "launched", id="not-stopped-yet"),
        pytest.param(placement(desired=Desired.LOADED), state("deactivating"), "launched", id="stopping"),
        pytest.param(placement(desired=Desired.LOADED), state("inactive"), "loaded", id="stopped"),
        pytest.param(placement(withdraw=True), state("active"), "launched", id="being-given-up-and-running"),
        pytest.param(placement(withdraw=True), state("inactive"), "loaded", id="being-given-up-and-stopped"),
        pytest.param(placement(withdraw=True), state("inactive", load="not-found"), "inactive", id="given-up"),
    ],
)
def test_current_state(placed: Placement | None, reported: UnitState | None, current: str) -> None:
    seen = snapshot(units=[unit()], placed=[placed] if placed else [], states=[reported] if reported else [])
    (entry,) = views.unit_list(seen, why).units
    v1 = views.v1_unit(unit(), views.place_of(seen, U))
    assert entry.current == current
    assert v1.current_state == current


def test_a_wanted_unit_without_a_machine_has_its_reason() -> None:
    (entry,) = views.unit_list(snapshot(units=[unit()], placed=[], states=[]), why).units
    assert entry.waits
    assert entry.reason == "no machine fits hello.service"
    assert entry.machine is None


def test_an_inactive_unit_waits_for_nothing() -> None:
    (entry,) = views.unit_list(snapshot(units=[unit(Desired.INACTIVE)], placed=[], states=[]), why).units
    assert entry.reason is None


def test_a_unit_on_a_machine_that_is_gone_waits() -> None:
    seen = snapshot(units=[unit()], placed=[placement()], states=[], gone=True)
    (entry,) = views.unit_list(seen, why).units
    assert (entry.machine, entry.reason) == (None, "no machine fits hello.service")
    assert views.state_list(seen).waiting == (U,)


def test_a_placed_unit_names_its_machine_and_why() -> None:
    (entry,) = views.unit_list(snapshot(units=[unit()], placed=[placement()], states=[state("active")]), why).units
    assert entry.machine is not None
    assert (entry.machine.name, entry.machine.address) == ("worker-1", "127.17.8.101")
    assert (entry.placed, entry.reason, entry.description) == ("least loaded", None, "Says hello")


@pytest.mark.parametrize(
    ("text", "placed", "shown"),
    [
        pytest.param("Says %N from %H", True, "Says hello from worker-1", id="all that a machine knows"),
        pytest.param("Says %N", False, "Says hello", id="the name's without a machine"),
        pytest.param("Says %N from %H", False, "Says %N from %H", id="as written where something is not known yet"),
    ],
)
def test_a_description_has_its_specifiers_replaced(text: str, placed: bool, shown: str) -> None:
    said = unit(text=f"[Unit]\nDescription={text}\n")
    seen = snapshot(units=[said], placed=[placement()] if placed else [], states=[])
    (entry,) = views.unit_list(seen, why).units
    assert entry.description == shown


def test_the_place_to_stay_counts_before_the_one_given_up() -> None:
    both = [placement(M1, withdraw=True), placement(M2)]
    for order in (both, both[::-1]):
        seen = snapshot(units=[unit()], placed=order, states=[])
        assert views.places(seen)[U].placement.machine == M2
        found = views.place_of(seen, U)
        assert found is not None
        assert found.placement.machine == M2


def test_a_global_unit_has_no_machine_and_does_not_wait() -> None:
    everywhere = unit(text=TEXT + "[X-Fleet]\nGlobal=true\n")
    seen = snapshot(units=[everywhere], placed=[placement(M1), placement(M2)], states=[state("active")])
    (entry,) = views.unit_list(seen, why).units
    assert entry.is_global
    assert (entry.machine, entry.reason) == (None, None)
    assert views.v1_unit(everywhere, views.place_of(seen, U)).machine_id == ""
    assert views.state_list(snapshot(units=[everywhere], placed=[], states=[])).waiting == ()


def test_states_are_filtered_as_the_original_filters() -> None:
    seen = snapshot(units=[unit()], placed=[], states=[state("active", on=M2), state("failed", on=M1)])
    assert [one.machine_id for one in views.v1_states(seen)] == [M1, M2]
    assert [one.systemd_active_state for one in views.v1_states(seen, machine_id=M2)] == ["active"]
    assert views.v1_states(seen, unit_name="other.service") == []


def test_an_acknowledged_withdrawal_is_no_report() -> None:
    seen = snapshot(units=[], placed=[], states=[state("inactive", load="not-found")])
    assert views.state_list(seen).states == ()
    assert views.v1_states(seen) == []


def test_a_unit_whose_file_cannot_be_read_is_listed_all_the_same() -> None:
    (entry,) = views.unit_list(snapshot(units=[unit(text="no unit file")], placed=[], states=[]), why).units
    assert (entry.name, entry.description) == (U, "")


def test_machines_are_sorted_as_people_count() -> None:
    machines = {MachineId(str(n)): machine(MachineId(str(n)), f"worker-{n}") for n in (10, 2, 1)}
    assert [one.name for one in views.machine_list(Snapshot(machines=machines)).machines] == [
        "worker-1",
        "worker-2",
        "worker-10",
    ]
