"""The sum holds through everything that is no loss and no double, and fails at the first that is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.demonstrator.api import AccountingReport, BlockDelivery, Cut, ResultBlock
from inaetics.demonstrator.blocks import part, waves
from inaetics.demonstrator.bundles.accounting.books import KEEP_DEAD, OVER_S, SETTLE_S, Books
from inaetics.demonstrator.bundles.datastore.database import Database
from inaetics.demonstrator.bundles.producer.lives import Lives
from inaetics.demonstrator.bundles.queue.buffer import SampleBuffer


@dataclass
class Pipeline:
    """The real rules of every stage, without processes between them."""

    store: Database = field(default_factory=lambda: Database(Path(":memory:"), keep_bytes=2**30))
    books: Books = field(default_factory=Books)
    producer: Lives = field(default_factory=Lives)
    queue: SampleBuffer = field(default_factory=lambda: SampleBuffer(capacity=12, redeliver_after_s=3))
    lent: list[BlockDelivery] = field(default_factory=list)
    now: float = 0.0
    queues: int = 0
    lives: int = 0

    def __post_init__(self) -> None:
        self.producer.begin("celix@1/0")

    def offer(self, count: int) -> None:
        block = waves(self.producer.name, self.producer.next, count, start_ms=0, step_ms=1)
        self.producer.offered(count)
        self.producer.answered(count, count - self.queue.put(block))

    def offer_unanswered(self, count: int) -> None:
        """The queue took it, and the answer was lost; the producer asks again."""
        block = waves(self.producer.name, self.producer.next, count, start_ms=0, step_ms=1)
        self.producer.offered(count)
        self.queue.put(block)
        assert self.check().holds
        self.producer.answered(count, count - self.queue.put(block, again=True))

    def lend(self, count: int) -> None:
        self.lent.append(self.queue.lend(1, count, now=self.now))

    def keep(self, number: int) -> None:
        for delivery in self.lent[number : number + 1]:
            self.store.store([ResultBlock(block.time_ms, block.value1, block) for block in delivery.blocks])

    def acknowledge(self, number: int) -> None:
        """As processors do: stored first."""
        self.keep(number)
        for delivery in self.lent[number : number + 1]:
            self.queue.acknowledge(delivery.id)

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def crash(self, number: int) -> None:
        """A processor dies with what it was lent."""
        del self.lent[number : number + 1]

    def new_life(self, _number: int) -> None:
        self.lives += 1
        self.producer.begin(f"celix@1/{self.lives}")

    def new_queue(self, number: int) -> None:
        """The queue dies with all it held; producers notice and begin new lives."""
        self.queue = SampleBuffer(capacity=12, redeliver_after_s=3)
        self.queues += 1
        self.lent.clear()
        self.new_life(number)

    def long(self, _number: int) -> None:
        """So long that what is over is added up."""
        self.now += OVER_S + 1

    def check(self) -> AccountingReport:
        """As the accounting does it, the forgetting too."""
        cut = self.queue.cut(queue=str(self.queues), at_ms=int(self.now * 1000))
        report = self.books.snapshot(cut, self.store.count, self.producer.at, now_s=self.now)
        self.queue.forget(self.books.over)
        return report


_ACTIONS = ("offer", "offer_unanswered", "lend", "keep", "acknowledge", "wait", "long", "crash", "new_life")
_number = st.integers(1, 7)


def _actions(*more: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(
        st.tuples(st.sampled_from((*_ACTIONS, "offer", "lend", "acknowledge", *more)), _number), max_size=50
    )


@settings(max_examples=40, deadline=None)
@given(_actions())
def test_the_sum_holds_whatever_happens(actions: list[tuple[str, int]]) -> None:
    pipeline = Pipeline()
    for action, number in actions:
        getattr(pipeline, action)(number - (action in {"keep", "acknowledge", "crash"}))
        report = pipeline.check()
        assert report.holds, report.note
        assert report.produced == report.refused + report.queued + report.in_flight + report.stored
        assert report.produced == pipeline.producer.produced


@settings(max_examples=40, deadline=None)
@given(_actions("new_queue"))
def test_what_a_dead_queue_held_is_counted_as_lost(actions: list[tuple[str, int]]) -> None:
    pipeline = Pipeline()
    for action, number in actions:
        getattr(pipeline, action)(number - (action in {"keep", "acknowledge", "crash"}))
        assert pipeline.check().holds
    pipeline.now += SETTLE_S + 1
    assert pipeline.check().holds
    pipeline.new_queue(0)
    pipeline.check()
    pipeline.now += SETTLE_S + 1
    report = pipeline.check()
    assert report.holds
    assert report.produced == pipeline.producer.produced
    assert report.stored == pipeline.store.held()
    assert report.lost_with_queue == pipeline.producer.produced - pipeline.producer.refused - pipeline.store.held()


@settings(max_examples=40, deadline=None)
@given(_actions("new_queue", "new_queue", "new_life", "new_life"))
def test_lives_that_are_over_are_added_up_and_the_sum_stays_exact(actions: list[tuple[str, int]]) -> None:
    """However many there were, those that go on and those that hold something are all that is left to count."""
    pipeline = Pipeline()
    for action, number in actions:
        getattr(pipeline, action)(number - (action in {"keep", "acknowledge", "crash"}))
        pipeline.check()
    for _ in range(KEEP_DEAD):
        pipeline.new_queue(0)
        pipeline.check()
        pipeline.now += SETTLE_S + 1
        pipeline.check()
    pipeline.new_life(0)
    pipeline.offer(3)
    _something_lent(pipeline)  # all before it is stored
    for _ in range(2):
        pipeline.long(0)
        pipeline.check()
    report = pipeline.check()
    assert report.holds, report.note
    assert report.produced == pipeline.producer.produced
    assert report.stored == pipeline.store.held()
    assert report.lost_with_queue == report.produced - report.refused - report.queued - report.in_flight - report.stored
    assert len(pipeline.queue.cut(queue="q", at_ms=0).producers) <= 1
    assert len(pipeline.books._dead) <= KEEP_DEAD
    assert len(pipeline.books._base) + len(pipeline.books._quiet) <= 2


def test_thousands_of_lives_cost_no_more_than_one() -> None:
    pipeline = Pipeline()
    pipeline.queue = SampleBuffer(capacity=10_000, redeliver_after_s=3)
    counted: list[int] = []

    def count(cut: Cut) -> int:
        counted.append(len(cut.producers))
        return pipeline.store.count(cut)

    for _ in range(3):
        for _ in range(1000):
            pipeline.offer(2)
            pipeline.new_life(0)
        pipeline.offer(1)
        while (delivery := pipeline.queue.lend(1, 500, now=pipeline.now)).id:
            pipeline.lent.append(delivery)
            pipeline.acknowledge(len(pipeline.lent) - 1)
        for _ in range(3):
            counted.clear()
            pipeline.long(0)
            cut = pipeline.queue.cut(queue="0", at_ms=0)
            report = pipeline.books.snapshot(cut, count, pipeline.producer.at, now_s=pipeline.now)
            pipeline.queue.forget(pipeline.books.over)
            assert report.holds, report.note
            assert report.produced == report.stored == pipeline.producer.produced
        assert sum(counted) <= 2
        pipeline.new_life(0)


def test_a_life_whose_sum_does_not_hold_is_looked_at_for_as_long_as_it_does_not() -> None:
    pipeline = Pipeline()
    pipeline.check()
    pipeline.offer(5)
    delivery = pipeline.queue.lend(1, 5, now=0)
    pipeline.queue.acknowledge(delivery.id)  # before it is stored, as nobody should
    for _ in range(5):
        pipeline.new_life(0)
        pipeline.offer(1)
        pipeline.lend(9)
        pipeline.acknowledge(len(pipeline.lent) - 1)
        pipeline.long(0)
        report = pipeline.check()
        assert not report.holds
        assert "5 samples are missing" in report.note
    pipeline.lent.append(delivery)
    pipeline.keep(len(pipeline.lent) - 1)
    assert pipeline.check().holds


def test_an_accounting_that_begins_after_the_queue_has_forgotten_says_what_it_leaves_out() -> None:
    pipeline = Pipeline()
    for _ in range(3):
        pipeline.offer(4)
        pipeline.lend(9)
        pipeline.acknowledge(len(pipeline.lent) - 1)
        pipeline.new_life(0)
    for _ in range(3):
        pipeline.long(0)
        pipeline.check()
    pipeline.offer(2)
    pipeline.books = Books()
    report = pipeline.check()
    assert report.holds
    assert "the queue had forgotten some of their producers" in report.note
    assert (report.produced, report.since_ms) == (0, report.at_ms)
    pipeline.offer(3)
    assert pipeline.check().produced == 3


@settings(max_examples=15, deadline=None)
@given(_actions(), _actions())
def test_one_planted_loss_is_seen_and_stays_seen(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> None:
    pipeline = Pipeline()
    pipeline.check()
    _run(pipeline, before)
    delivery = _something_lent(pipeline)
    pipeline.queue.acknowledge(delivery.id)  # never stored
    assert not pipeline.check().holds
    _run(pipeline, after)
    assert not pipeline.check().holds


@settings(max_examples=15, deadline=None)
@given(_actions(), _actions())
def test_one_planted_double_is_seen_and_stays_seen(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> None:
    pipeline = Pipeline()
    pipeline.check()
    _run(pipeline, before)
    delivery = _something_lent(pipeline)
    pipeline.lent.append(delivery)
    pipeline.acknowledge(len(pipeline.lent) - 1)
    _insert_again(pipeline.store, delivery)
    assert not pipeline.check().holds
    _run(pipeline, after)
    assert not pipeline.check().holds


def test_a_producer_that_counts_otherwise_is_seen() -> None:
    pipeline = Pipeline()
    pipeline.check()
    pipeline.offer(5)
    pipeline.producer.answered(0, 1)
    report = pipeline.check()
    assert not report.holds
    assert "celix@1/0 counts 5 offered and 1 refused, the queue 5 and 0" in report.note


def test_what_was_stored_elsewhere_before_is_left_out_and_said() -> None:
    pipeline = Pipeline()
    for _ in range(3):
        pipeline.offer(4)
        pipeline.lend(3)
    pipeline.acknowledge(0)
    pipeline.store, pipeline.books = Database(Path(":memory:"), keep_bytes=2**30), Books()
    report = pipeline.check()
    assert report.holds
    assert "left out" in report.note
    pipeline.acknowledge(1)
    pipeline.offer(7)
    pipeline.lend(9)
    pipeline.acknowledge(3)
    report = pipeline.check()
    assert report.holds, report.note
    assert (report.produced, report.refused, report.stored) == (7, 1, 6)
    pipeline.offer(2)
    pipeline.queue.acknowledge(_something_lent(pipeline).id)
    assert not pipeline.check().holds


def _run(pipeline: Pipeline, actions: list[tuple[str, int]]) -> None:
    for action, number in actions:
        getattr(pipeline, action if action != "offer_unanswered" else "offer")(number - 1 or 1)


def _something_lent(pipeline: Pipeline) -> BlockDelivery:
    """A delivery that nobody else has and that was not stored."""
    while (delivery := pipeline.queue.lend(1, 99, now=pipeline.now)).id:
        pipeline.lent.append(delivery)
        pipeline.acknowledge(len(pipeline.lent) - 1)
    pipeline.wait(9)
    while (delivery := pipeline.queue.lend(1, 99, now=pipeline.now)).id:
        pipeline.lent.append(delivery)
        pipeline.acknowledge(len(pipeline.lent) - 1)
    pipeline.offer(3)
    delivery = pipeline.queue.lend(2, 2, now=pipeline.now)
    assert delivery.id
    return delivery


def _insert_again(store: Database, delivery: BlockDelivery) -> None:
    """The delivery's last sample once more: what only a wrong datastore does."""
    block = delivery.blocks[-1]
    twice = part(block, block.count - 1, block.count)
    store._insert_new(store._producer(block.producer), ResultBlock(twice.time_ms, twice.value1, twice))
