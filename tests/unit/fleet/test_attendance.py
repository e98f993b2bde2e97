"""Which machines count as lost, and when."""

from __future__ import annotations

from inaetics.fleet.attendance import Attendance
from inaetics.fleet.model import MachineId

M = MachineId("m")
GRACE_S = 10.0
LEASE, ANOTHER = 7, 8


def lost(attendance: Attendance, *, now: float, leading_since: float) -> bool:
    return M in attendance.lost([M], now=now, leading_since=leading_since)


def test_a_machine_that_was_never_seen_is_waited_for_from_the_beginning_of_leadership() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({}, 0)
    assert not lost(attendance, now=100 + 9, leading_since=100)
    assert lost(attendance, now=100 + 10, leading_since=100)


def test_a_machine_seen_to_come_and_go_is_lost_at_once() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({}, 0)
    attendance.arrived(M, LEASE)
    attendance.left(M, 1)
    assert lost(attendance, now=1, leading_since=1)


def test_a_key_that_was_listed_and_ends_soon_may_have_outlived_its_machine_in_a_power_cut() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({M: LEASE}, 0)
    attendance.left(M, 5)
    assert not lost(attendance, now=6, leading_since=4)
    assert lost(attendance, now=14, leading_since=4)


def test_a_key_that_was_listed_and_lasted_was_renewed_so_its_end_is_the_machines() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({M: LEASE}, 0)
    attendance.left(M, 11)
    assert lost(attendance, now=11, leading_since=11)


def test_a_machine_heard_since_its_key_was_listed_is_lost_at_once() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({M: LEASE}, 0)
    attendance.heard(M, LEASE)
    attendance.left(M, 5)
    assert lost(attendance, now=5, leading_since=4)


def test_a_report_under_another_lease_is_of_one_that_returns_and_says_nothing_of_the_key_that_stands() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({M: LEASE}, 0)
    attendance.heard(M, ANOTHER)
    attendance.left(M, 5)
    attendance.heard(M, LEASE)
    assert not lost(attendance, now=6, leading_since=4)
    attendance.arrived(M, ANOTHER)
    attendance.heard(M, ANOTHER)
    attendance.left(M, 7)
    assert lost(attendance, now=7, leading_since=4)


def test_a_report_counts_for_the_lease_that_a_second_listing_shows() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({M: LEASE}, 0)
    attendance.listed({M: ANOTHER}, 1)
    attendance.heard(M, LEASE)
    attendance.left(M, 5)
    assert not lost(attendance, now=6, leading_since=4)


def test_a_machine_that_returns_is_not_lost() -> None:
    attendance = Attendance(GRACE_S)
    attendance.arrived(M, LEASE)
    attendance.left(M, 1)
    attendance.arrived(M, LEASE)
    assert not lost(attendance, now=100, leading_since=0)


def test_a_machine_that_lacks_in_a_second_listing_is_gone() -> None:
    attendance = Attendance(GRACE_S)
    attendance.listed({M: LEASE}, 0)
    attendance.listed({}, 20)
    assert lost(attendance, now=20, leading_since=19)
    attendance.listed({M: LEASE}, 21)
    assert not lost(attendance, now=100, leading_since=0)
