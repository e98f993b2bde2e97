"""When a receiver waits awake, and when it sleeps: with a socket and clocks in the test's hands."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest

from inaetics.node.remote import awake
from inaetics.node.remote.awake import AWAKE_S, LIVELY_S, MOST_LATE, PROMPT_S, REST_S, WELL_S, Receiver

LOOK_S = 2e-6
WELL = int(1.1 * WELL_S / 42e-6)
"""So many receives go well."""


class World:
    """A socket on which something comes `after_s` each time; time passes only in it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.worked = 5.0
        self.after_s = 40e-6
        self.held_up_s = 0.0
        self.how: list[str] = []
        self.looks = 0
        self._due: float | None = None

    def recv(self, most: int, flags: int = 0) -> bytes:
        if self._due is None:
            self._due = self.now + self.after_s
        if flags & socket.MSG_DONTWAIT:
            self.looks += 1
            self.pass_(LOOK_S + self.held_up_s, worked=LOOK_S)
            if self.now < self._due:
                raise BlockingIOError
        else:
            self.pass_(max(self._due - self.now, 0.0) + LOOK_S, worked=LOOK_S)
        self.how.append("awake" if flags & socket.MSG_DONTWAIT else "asleep")
        self._due = None
        return b"x"

    def pass_(self, seconds: float, *, worked: float = 0.0) -> None:
        self.now += seconds
        self.worked += worked


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(awake, "perf_counter", lambda: made.now)
    monkeypatch.setattr(awake, "thread_time", lambda: made.worked)
    monkeypatch.setattr(awake, "_several", True)
    return made


def receiver(world: World) -> Receiver:
    return Receiver(cast("Any", world))


def received(world: World, one: Receiver, times: int) -> list[str]:
    world.how.clear()
    for _ in range(times):
        assert one.receive(10) == b"x"
    return world.how


def test_lively_conversation_is_received_awake(world: World) -> None:
    assert received(world, receiver(world), 5) == ["asleep", *["awake"] * 4]


def test_what_comes_late_now_and_then_is_received_awake(world: World) -> None:
    one = receiver(world)
    received(world, one, 2)
    for _ in range(20):
        world.after_s = 1.5 * PROMPT_S
        assert received(world, one, MOST_LATE - 1) == ["awake"] * (MOST_LATE - 1)
        world.after_s = 40e-6
        assert received(world, one, 1) == ["awake"]


def test_who_receives_seldom_sleeps(world: World) -> None:
    one = receiver(world)
    received(world, one, 2)
    world.pass_(2 * LIVELY_S)
    assert received(world, one, 1) == ["asleep"]


def test_look_in_vain_is_followed_by_sleep_for_a_while(world: World) -> None:
    one = receiver(world)
    received(world, one, WELL)
    world.after_s = 2 * AWAKE_S
    assert received(world, one, 1) == ["asleep"]
    world.after_s = 40e-6
    asleep = received(world, one, 200)
    assert "awake" in asleep  # it tries again
    assert asleep.index("awake") * (40e-6 + LOOK_S) == pytest.approx(REST_S, rel=0.2)


@pytest.mark.parametrize(
    ("after_s", "held_up_s"),
    [(3 * AWAKE_S, 0.0), (1.1 * PROMPT_S, 0.0), (100e-6, 60e-6), (40e-6, 200e-6)],
    ids=["vain", "late", "held up", "held up at once"],
)
def test_where_it_does_not_pay_it_is_hardly_ever_tried(world: World, after_s: float, held_up_s: float) -> None:
    one = receiver(world)
    world.after_s, world.held_up_s = after_s, held_up_s
    for _ in range(20_000):
        one.receive(10)
    assert 0 < world.looks < 10_000


def test_work_between_two_looks_is_not_somebody_elses_turn(world: World) -> None:
    """An interrupt: time passes, and the thread has worked all of it."""
    one = receiver(world)
    received(world, one, 2)
    recv = world.recv

    def interrupted(most: int, flags: int = 0) -> bytes:
        world.pass_(50e-6, worked=50e-6)
        return recv(most, flags)

    one._recv = interrupted
    assert received(world, one, 3) == ["awake"] * 3


def test_what_went_well_long_enough_is_tried_again_soon(world: World) -> None:
    one = receiver(world)
    world.after_s = 2 * AWAKE_S
    received(world, one, 3000)
    assert one._rest_s > 50 * REST_S
    world.after_s = 40e-6
    world.pass_(2.0)  # its longest rest
    assert "asleep" not in received(world, one, WELL)[1:]
    world.after_s = 2 * AWAKE_S
    received(world, one, 1)
    assert one._rest_s == REST_S


def test_silence_is_not_going_well(world: World) -> None:
    """On a busy machine whoever calls in bursts would begin each with looks in vain."""
    one = receiver(world)
    world.after_s = 2 * AWAKE_S
    received(world, one, 3000)
    world.pass_(60.0)
    received(world, one, 2)
    assert one._rest_s > 50 * REST_S


def test_one_thread_of_a_process_at_a_time(world: World) -> None:
    one = receiver(world)
    received(world, one, 2)
    with awake._one:
        assert received(world, one, 1) == ["asleep"]
    assert received(world, one, 1) == ["awake"]


def test_with_one_processor_never(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "_several", False)
    assert set(received(world, receiver(world), 10)) == {"asleep"}


def test_error_of_the_socket_is_raised_and_another_may_wait_awake(world: World) -> None:
    one = receiver(world)
    received(world, one, 2)

    def broken(most: int, flags: int = 0) -> bytes:
        raise ConnectionResetError

    one._recv = broken
    with pytest.raises(ConnectionResetError):
        one.receive(10)
    assert not awake._one.locked()
