"""The queue's rules: bounded, nothing lost, what is not acknowledged comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inaetics.demonstrator.api import Sample
from inaetics.demonstrator.bundles.queue.buffer import EMPTY, SampleBuffer


def _samples(count: int, first: int = 0) -> list[Sample]:
    return [Sample(0, 1.0, 2.0, "p", first + i) for i in range(count)]


def test_a_full_queue_refuses_what_does_not_fit() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    assert buffer.offer(_samples(5)) == 3
    assert (buffer.queued, buffer.refused, buffer.fill) == (3, 2, 1.0)


def test_lent_samples_still_take_room() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    buffer.offer(_samples(3))
    buffer.lend(1, 3, now=0)
    assert buffer.offer(_samples(1)) == 0


def test_fewer_than_the_minimum_are_not_lent() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    buffer.offer(_samples(1))
    assert buffer.lend(2, 3, now=0) == EMPTY


def test_an_unacknowledged_delivery_comes_back_first_and_in_order() -> None:
    buffer = SampleBuffer(capacity=10, redeliver_after_s=5)
    buffer.offer(_samples(4))
    lost = buffer.lend(1, 2, now=0)
    assert [s.sequence for s in buffer.lend(1, 4, now=4.9).samples] == [2, 3]
    again = buffer.lend(1, 4, now=5.0)
    assert again.samples == lost.samples
    assert again.id != lost.id
    assert not buffer.acknowledge(lost.id)
    assert buffer.acknowledge(again.id)


_actions = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(0, 7)),
        st.tuples(st.just("lend"), st.integers(1, 5)),
        st.tuples(st.just("acknowledge"), st.integers(0, 8)),
        st.tuples(st.just("wait"), st.integers(0, 4)),
    ),
    max_size=60,
)


@given(_actions)
def test_accepted_is_queued_plus_in_flight_plus_acknowledged(actions: list[tuple[str, int]]) -> None:
    buffer = SampleBuffer(capacity=12, redeliver_after_s=3)
    now, sequence, lent = 0.0, 0, []
    done: set[int] = set()
    for action, number in actions:
        if action == "offer":
            buffer.offer(_samples(number, sequence))
            sequence += number
        elif action == "lend":
            lent.append(buffer.lend(1, number, now=now))
        elif action == "wait":
            now += number
        elif lent and buffer.acknowledge((delivery := lent[number % len(lent)]).id):
            assert done.isdisjoint(s.sequence for s in delivery.samples), "acknowledged twice"
            done.update(s.sequence for s in delivery.samples)
        assert buffer.accepted == buffer.queued + buffer.in_flight + buffer.acknowledged
        assert buffer.queued + buffer.in_flight <= 12
        assert buffer.acknowledged == len(done)
