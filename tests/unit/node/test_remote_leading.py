"""Who reads a connection that several share: the lead passes on, and no answer is lost on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from inaetics.node.remote.link import Link
from inaetics.node.remote.pending import Broken, PendingCall
from inaetics.node.remote.stream import Stream
from inaetics.node.remote.wire import Answer, Call, Cancel, Frames, Message, Reply, encode
from tests.unit.node.test_remote_stream import connected


class Shared:
    """A link, and its provider in the test's hands."""

    def __init__(self, ours: Stream, provider: Stream, pool: ThreadPoolExecutor, window: int = 16) -> None:
        self.link = Link(ours, Frames(), window=window, ended=lambda _: None)
        self._provider = provider
        self._frames = Frames()
        self._pool = pool
        self._seen: list[Message] = []

    def call(self, number: int, within_s: float = 20.0) -> Future[Reply]:
        """Call in a thread; returns when the provider has it."""
        frame = encode(Call(number, "e", "m", [], {}))
        reply = self._pool.submit(self.link.call, frame, number, time.monotonic() + within_s, within_s)
        assert isinstance(got := self.next(), Call)
        assert got.id == number
        return reply

    def later(self, number: int) -> PendingCall:
        future = PendingCall()
        self.link.call_later(encode(Call(number, "e", "m", [], {})), number, future, time.monotonic() + 20.0)
        assert isinstance(self.next(), Call)
        return future

    def next(self) -> Message:
        """The next that the provider receives."""
        while not self._seen:
            data = self._provider.receive(self._frames.chunk, within_s=20.0)
            assert data, "the link closed its connection"
            self._seen += self._frames.feed(data)
        return self._seen.pop(0)

    def answer(self, *numbers: int) -> None:
        self._provider.send(b"".join(encode(Answer(number, number)) for number in numbers), within_s=5.0)


@pytest.fixture
def shared() -> Iterator[Shared]:
    with connected() as (ours, other), ThreadPoolExecutor(8) as pool:
        made = Shared(Stream(ours), Stream(other), pool)
        try:
            yield made
        finally:
            made.link.close()  # whoever still waits ends


def test_lead_passes_on_when_the_leader_has_its_answer(shared: Shared) -> None:
    first, second, third = (shared.call(number) for number in (1, 2, 3))
    shared.answer(1)
    assert first.result(10) == Answer(1, 1)
    shared.answer(3)
    assert third.result(10) == Answer(3, 3)
    shared.answer(2)
    assert second.result(10) == Answer(2, 2)


def test_leader_hands_out_what_comes_together(shared: Shared) -> None:
    calls = {number: shared.call(number) for number in (1, 2, 3, 4)}
    shared.answer(4, 2, 1, 3)
    assert {number: reply.result(10) for number, reply in calls.items()} == {n: Answer(n, n) for n in (1, 2, 3, 4)}


def test_leader_whose_time_is_over_passes_the_lead_on_and_tells_the_provider(shared: Shared) -> None:
    leader, follower = shared.call(1, within_s=1.0), shared.call(2)
    assert shared.next() == Cancel(1)
    with pytest.raises(TimeoutError):
        leader.result(10)
    shared.answer(1, 2)  # too late for the first: nobody minds
    assert follower.result(10) == Answer(2, 2)
    later = shared.call(3)
    shared.answer(3)
    assert later.result(10) == Answer(3, 3)


def test_follower_whose_time_is_over_leaves_the_leader_alone(shared: Shared) -> None:
    leader, follower = shared.call(1), shared.call(2, within_s=1.0)
    assert shared.next() == Cancel(2)
    with pytest.raises(TimeoutError):
        follower.result(10)
    shared.answer(2, 1)
    assert leader.result(10) == Answer(1, 1)


def test_future_that_is_cancelled_while_a_caller_leads(shared: Shared) -> None:
    leader, kept, cancelled = shared.call(1), shared.later(2), shared.later(3)
    assert cancelled.cancel()
    assert shared.next() == Cancel(3)
    shared.answer(3, 2, 1)
    assert leader.result(10) == Answer(1, 1)
    assert kept.result(10) == Answer(2, 2)
    assert cancelled.cancelled()


def test_futures_are_settled_when_the_caller_that_led_has_its_answer(shared: Shared) -> None:
    leader, future = shared.call(1), shared.later(2)
    shared.answer(1)
    assert leader.result(10) == Answer(1, 1)
    shared.answer(2)
    assert future.result(10) == Answer(2, 2)


def test_end_of_the_connection_fails_leader_and_followers(shared: Shared) -> None:
    replies = [shared.call(number) for number in (1, 2, 3)]
    shared._provider.close()
    for reply in replies:
        with pytest.raises(Broken):
            reply.result(10)


def test_answer_that_came_before_its_caller_leads_is_found_behind_a_request_to_lead(shared: Shared) -> None:
    """The caller is about to wait: it was asked to lead, and meanwhile another leader brought its answer."""
    sent, go_on = threading.Event(), threading.Event()
    stream = shared.link._stream
    send = stream.send

    def slow_send(frame: bytes, *, within_s: float) -> None:
        send(frame, within_s=within_s)
        sent.set()
        assert go_on.wait(10)

    stream.send = slow_send  # type: ignore[method-assign]
    with shared.link._reading:  # somebody reads, so it does not lead from the start
        reply = shared._pool.submit(shared.link.call, encode(Call(1, "e", "m", [], {})), 1, time.monotonic() + 20, 20.0)
        assert sent.wait(10)
        shared.link._hand_over()
        shared.link._deliver(Answer(1, 1), None)
    go_on.set()
    assert reply.result(5) == Answer(1, 1)


def test_many_callers_with_answers_out_of_order_all_get_their_own(shared: Shared) -> None:
    """Whoever leads, leaves and comes again: rounds of calls whose answers come in another order each."""
    for round_ in range(30):
        numbers = [10 * round_ + n for n in range(1, 5)]
        calls = {number: shared.call(number) for number in numbers}
        for number in numbers[round_ % 4 :] + numbers[: round_ % 4]:
            shared.answer(number)
        assert all(calls[number].result(10) == Answer(number, number) for number in numbers)
    assert not shared.link.end
    assert not shared.link._waiting
