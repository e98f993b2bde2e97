"""The queue's rules: bounded, nothing lost, nothing taken twice, what is not acknowledged comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inaetics.demonstrator.api import Outstanding, ProducerRecord, SampleBlock
from inaetics.demonstrator.blocks import waves
from inaetics.demonstrator.bundles.queue.buffer import EMPTY, MOST_FORGOTTEN, UNKNOWN, SampleBuffer


def _block(count: int, first: int = 0, producer: str = "p") -> SampleBlock:
    return waves(producer, first, count, start_ms=0, step_ms=1)


def _sequences(blocks: list[SampleBlock]) -> list[int]:
    return [sequence for block in blocks for sequence in range(block.first, block.first + block.count)]


def test_a_full_queue_refuses_what_does_not_fit() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    assert buffer.put(_block(5)) == 3
    assert (buffer.queued, buffer.refused, buffer.fill) == (3, 2, 1.0)


def test_lent_samples_still_take_room() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    buffer.put(_block(3))
    buffer.lend(1, 3, now=0)
    assert buffer.put(_block(1, 3)) == 0


def test_fewer_than_the_minimum_are_not_lent() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    buffer.put(_block(1))
    assert buffer.lend(2, 3, now=0) == EMPTY


def test_blocks_are_cut_at_the_maximum_and_keep_their_values() -> None:
    buffer = SampleBuffer(capacity=10, redeliver_after_s=5)
    whole = _block(5)
    buffer.put(whole)
    (one,), (other,) = buffer.lend(1, 2, now=0).blocks, buffer.lend(1, 9, now=0).blocks
    assert (one.first, one.count, other.first, other.count) == (0, 2, 2, 3)
    assert one.value1 + other.value1 == whole.value1
    assert one.time_ms + other.time_ms == whole.time_ms


def test_an_unacknowledged_delivery_comes_back_first_and_in_order() -> None:
    buffer = SampleBuffer(capacity=10, redeliver_after_s=5)
    buffer.put(_block(4))
    lost = buffer.lend(1, 2, now=0)
    assert _sequences(buffer.lend(1, 4, now=4.9).blocks) == [2, 3]
    again = buffer.lend(1, 4, now=5.0)
    assert again.blocks == lost.blocks
    assert again.id != lost.id
    assert not buffer.acknowledge(lost.id)
    assert buffer.acknowledge(again.id)


def test_a_block_offered_again_is_answered_as_before_and_not_taken_twice() -> None:
    buffer = SampleBuffer(capacity=3, redeliver_after_s=5)
    assert buffer.put(_block(2)) == 2
    assert buffer.put(_block(2, 2)) == 1
    assert buffer.put(_block(2, 2), again=True) == 1
    assert (buffer.queued, buffer.accepted, buffer.refused) == (3, 3, 1)


def test_a_block_offered_again_whose_first_call_never_came_is_taken() -> None:
    buffer = SampleBuffer(capacity=9, redeliver_after_s=5)
    buffer.put(_block(2))
    assert buffer.put(_block(2, 2), again=True) == 2


def test_a_queue_that_never_heard_of_the_producer_does_not_take_a_block_again() -> None:
    buffer = SampleBuffer(capacity=9, redeliver_after_s=5)
    assert buffer.put(_block(2, 6), again=True) == UNKNOWN
    assert buffer.accepted == 0


def test_a_call_that_comes_late_changes_nothing() -> None:
    buffer = SampleBuffer(capacity=9, redeliver_after_s=5)
    buffer.put(_block(2))
    buffer.put(_block(2, 2))
    assert buffer.put(_block(2)) == UNKNOWN
    assert buffer.accepted == 4


def test_a_refused_sample_may_be_offered_again_without_the_word() -> None:
    buffer = SampleBuffer(capacity=1, redeliver_after_s=5)
    assert buffer.offer([_block(1), _block(1, 1)]) == 1
    buffer.acknowledge(buffer.lend(1, 1, now=0).id)
    assert buffer.offer([_block(1, 1)]) == 1


def test_a_cut_names_what_is_offered_and_what_is_outstanding() -> None:
    buffer = SampleBuffer(capacity=8, redeliver_after_s=5)
    for first in (0, 3, 6):
        buffer.put(_block(3, first))
    buffer.put(_block(2, 5, "q"))
    buffer.acknowledge(buffer.lend(1, 2, now=0).id)
    buffer.lend(1, 3, now=0)
    cut = buffer.cut(queue="life", at_ms=7)
    assert cut.producers == [ProducerRecord("p", 0, 9, 9, 8, 1), ProducerRecord("q", 5, 7, 2, 0, 2)]
    assert cut.outstanding == [Outstanding("p", 5, 3, False), Outstanding("p", 2, 3, True)]
    assert (cut.queued, cut.in_flight) == (3, 3)


def test_what_is_forgotten_is_told_no_more_and_taken_no_more() -> None:
    buffer = SampleBuffer(capacity=9, redeliver_after_s=5)
    buffer.put(_block(2))
    buffer.put(_block(2, 0, "held"))
    buffer.acknowledge(buffer.lend(1, 2, now=0).id)
    buffer.lend(1, 1, now=0)
    assert buffer.forget([("held", 2), ("nobody", 2), ("p", 1)]) == 0, "held, unknown, and was offered more since"
    assert buffer.forget([("p", 2)]) == 1
    cut = buffer.cut(queue="q", at_ms=0)
    assert ([record.producer for record in cut.producers], cut.forgotten) == (["held"], 1)
    assert buffer.put(_block(2, 2)) == UNKNOWN, "a call given up long ago"
    assert buffer.accepted == 4


def test_names_of_the_forgotten_are_bounded() -> None:
    buffer = SampleBuffer(capacity=9, redeliver_after_s=5)
    for number in range(MOST_FORGOTTEN + 10):
        buffer.put(_block(1, 0, str(number)))
        buffer.acknowledge(buffer.lend(1, 1, now=0).id)
        buffer.forget([(str(number), 1)])
    assert len(buffer._over) == MOST_FORGOTTEN
    assert buffer.forgotten == MOST_FORGOTTEN + 10


_actions = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(1, 7)),
        st.tuples(st.just("again"), st.integers(1, 7)),
        st.tuples(st.just("lend"), st.integers(1, 5)),
        st.tuples(st.just("acknowledge"), st.integers(0, 8)),
        st.tuples(st.just("wait"), st.integers(0, 4)),
    ),
    max_size=60,
)


@given(_actions)
def test_accepted_is_queued_plus_in_flight_plus_acknowledged(actions: list[tuple[str, int]]) -> None:
    buffer = SampleBuffer(capacity=12, redeliver_after_s=3)
    now, last, lent = 0.0, _block(1), []
    buffer.put(last)
    done: set[int] = set()
    for action, number in actions:
        if action == "offer":
            last = _block(number, last.first + last.count)
            buffer.put(last)
        elif action == "again":
            buffer.put(last, again=True)
        elif action == "lend":
            lent.append(buffer.lend(1, number, now=now))
        elif action == "wait":
            now += number
        elif lent and buffer.acknowledge((delivery := lent[number % len(lent)]).id):
            sequences = _sequences(delivery.blocks)
            assert done.isdisjoint(sequences), "acknowledged twice"
            done.update(sequences)
        cut = buffer.cut(queue="q", at_ms=0)
        assert buffer.accepted == buffer.queued + buffer.in_flight + buffer.acknowledged
        assert buffer.accepted + buffer.refused == last.first + last.count
        assert buffer.queued + buffer.in_flight <= 12
        assert buffer.acknowledged == len(done)
        assert sum(o.count for o in cut.outstanding if o.lent) == buffer.in_flight
        assert sum(o.count for o in cut.outstanding if not o.lent) == buffer.queued
        assert done.isdisjoint(s for o in cut.outstanding for s in range(o.first, o.first + o.count))
