"""What a lease's remaining time proves of its machine, and what it does not."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from inaetics.errors import InvalidInput
from inaetics.fleet import roll_call
from inaetics.fleet.attendance import Attendance
from inaetics.fleet.model import MachineId
from inaetics.fleet.roll_call import Reading, RollCall, renewed
from inaetics.store.background import beside
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Remaining
from tests.support.eventually import aeventually


def reading(at: float, left_s: float, *, term: int = 1, lease: int = 7, took_s: float = 0.0) -> Reading:
    said = Remaining(granted_s=5, left_s=left_s, term=term)
    return Reading(lease=lease, asked_at=at, answered_at=at + took_s, said=said)


@pytest.mark.parametrize(
    ("readings", "proven"),
    [
        pytest.param((reading(0, 4), reading(0, 4), reading(2.2, 3)), True, id="more than can be left"),
        pytest.param((reading(0, 4), reading(0, 4), reading(2.2, 2)), False, id="what may be left: whole seconds"),
        pytest.param((reading(0, 4), reading(0, 4), reading(1.0, 4)), True, id="as much, a second later"),
        pytest.param((reading(0, 4), reading(0, 4), reading(0.9, 4)), False, id="as much, too soon to tell"),
        pytest.param((reading(0, 4), reading(0, 4, took_s=2), reading(2.2, 3)), False, id="an answer that took long"),
        pytest.param(
            (reading(0, 4), reading(0, 4), reading(2.2, 5, term=2)), False, id="extended by a new leader of the store"
        ),
        pytest.param(
            (reading(0, 4, term=1), reading(0, 4, term=2), reading(2.2, 5, term=2)), False, id="perhaps extended"
        ),
        pytest.param((reading(0, 4), reading(0, 4), reading(2.2, 4, lease=8)), False, id="of another lease"),
        pytest.param((reading(0, 1), reading(0, 1), reading(2.2, 0)), False, id="ended 0.8 s ago, not yet removed"),
    ],
)
def test_a_renewal_is_proven_or_not(readings: tuple[Reading, Reading, Reading], proven: bool) -> None:
    assert renewed(*readings) is proven


def test_those_are_heard_whose_leases_are_renewed_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are asked for until they come or go."""
    monkeypatch.setattr(roll_call, "_SLACK_S", 0.1)
    alive, dead, lasting = MachineId("alive"), MachineId("dead"), MachineId("lasting")

    async def main() -> None:
        store, attendance = FakeStore(), Attendance(600)
        gone = store.client()
        call = RollCall(store, attendance)
        async with store.lease(3) as lease, beside(call.run(), name="roll call"):
            async with gone.lease(30, revoke=False) as ended:  # not renewed from here on
                pass
            attendance.listed({alive: lease.id, dead: ended.id, lasting: 0}, 0)
            call.begin()

            async def heard() -> bool:
                return alive not in attendance.unheard

            await aeventually(heard, within_s=60, what="who renews its lease is heard")
            await asyncio.sleep(1.2)
            assert attendance.unheard == {dead: ended.id}
            attendance.left(alive, 5)
            attendance.left(dead, 5)
            assert attendance.lost([alive, dead], now=5, leading_since=5) == {alive}

    asyncio.run(main())


def test_a_leader_whose_term_does_not_show_yet_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has extended every lease, as a new one does, and tells the term before its own for a moment."""
    monkeypatch.setattr(roll_call, "_SLACK_S", 0.1)
    monkeypatch.setattr(roll_call, "_TERM_S", 0.01)
    machine = MachineId("dead")

    class Elects(FakeStore):
        asked = 0
        ends = 0.0

        @override
        async def remaining(self, lease: int) -> Remaining | None:
            self.asked += 1
            now = asyncio.get_running_loop().time()
            if self.asked in (1, 3):
                self.ends = now + (100.5 if self.asked == 1 else 600.5)
            return Remaining(granted_s=0.3, left_s=float(int(self.ends - now)), term=1 if self.asked <= 3 else 2)

    async def main() -> None:
        store, attendance = Elects(), Attendance(600)
        call = RollCall(store, attendance)
        attendance.listed({machine: 7}, 0)
        async with beside(call.run(), name="roll call"):
            call.begin()

            async def asked() -> bool:
                return store.asked > 6

            await aeventually(asked, within_s=60, what="it was asked again in the new term")
            assert attendance.unheard == {machine: 7}

    asyncio.run(main())


def test_a_store_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_call, "_SLACK_S", 0.1)
    monkeypatch.setattr(roll_call, "_AGAIN_S", 0.05)

    async def main() -> None:
        store, attendance = FakeStore(), Attendance(600)
        cut_off = store.client()
        call = RollCall(cut_off, attendance)
        async with store.lease(3) as lease, beside(call.run(), name="roll call"):
            with cut_off.outage():
                attendance.listed({MachineId("m"): lease.id}, 0)
                call.begin()
                await asyncio.sleep(0.2)

            async def heard() -> bool:
                return not attendance.unheard

            await aeventually(heard, within_s=60, what="it is heard")

    asyncio.run(main())


def test_a_store_that_refuses_to_tell_is_asked_no_more() -> None:
    class Refuses(FakeStore):
        @override
        async def remaining(self, lease: int) -> Remaining | None:
            raise InvalidInput("the certificate has no right to that")

    async def main() -> None:
        attendance = Attendance(600)
        call = RollCall(Refuses(), attendance)
        attendance.listed({MachineId("m"): 7}, 0)
        with capture_logs() as logs:
            await call.run()
        assert [entry["event"] for entry in logs] == ["no roll call"]

    asyncio.run(main())
