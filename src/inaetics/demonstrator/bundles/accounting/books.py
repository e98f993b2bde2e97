"""Whether the sum holds, pure: cuts of queues, counts of the datastore and of producers go in, reports come out.

The figures come from different witnesses, and none is a difference of others: the queue's cut says what was offered
(compared with what the producer itself counted at that call), refused, queued and lent; the datastore counts the rows
of just those samples that the cut does not hold. So a sample lost or stored twice between them makes the sum fail.

When a queue dies, what it held is gone. Processors may still store what it had lent them, for `SETTLE_S`; what of its
samples is neither refused nor stored after that is `lost_with_queue` from then on (until then it is what is missing at
the moment: only in this time is a figure a difference). A call that the dead queue never answered counts as lost,
unless its samples were stored.

Books begin with the first cut. When the sum does not hold for what was offered before it, because the datastore's data
stayed on another host, or the queue has forgotten lives of producers, they are about what is offered from then on, and
say so.

A producer has a new life after each outage, so lives that are over are added up and no longer looked at: when the same
agent has a later one, nothing was offered in it for `OVER_S`, and all that was accepted is stored. One of which
something is missing is looked at for as long as it is. The queue may forget those in `over`. In the same way only the
last `KEEP_DEAD` queues that died are counted anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from inaetics.demonstrator.api import AccountingReport, Cut, Ledger, Outstanding, ProducerRecord

Count = Callable[[Cut], int]
"""`DataStore.count`."""

Ask = Callable[[str, int], Ledger | None]
"""`Producer.at` of whichever producer it is; None too when it cannot be asked."""

SETTLE_S = 20.0
"""Longer than a remote call waits and than a delivery may take."""

OVER_S = 60.0
"""Longer than any call, redelivery or outage of a producer that lives."""

KEEP_DEAD = 4

_NOT_HERE = "samples offered before this accounting began are left out: their data is not in this store"
_LEFT_OUT = "samples offered before this accounting began are left out: the queue had forgotten some of their producers"

LAST = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dead:
    """A queue that died: what it was offered and refused. `lost` is None until everything has settled."""

    cut: Cut
    produced: int
    refused: int
    died_s: float
    lost: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closed:
    """What is added up for good."""

    produced: int = 0
    refused: int = 0
    stored: int = 0
    lost: int = 0

    def and_(self, *, produced: int, refused: int, stored: int, lost: int = 0) -> _Closed:
        return _Closed(
            produced=self.produced + produced,
            refused=self.refused + refused,
            stored=self.stored + stored,
            lost=self.lost + lost,
        )


class Books:
    """The accounts of one datastore. Call `snapshot` with one cut after the other."""

    def __init__(self) -> None:
        self._last: Cut | None = None
        self._base: dict[str, ProducerRecord] = {}
        self._dead: list[_Dead] = []
        self._closed = _Closed()
        self._quiet: dict[str, tuple[ProducerRecord, float]] = {}
        """Lives that are over, and since when nothing of them changed."""
        self.over: list[tuple[str, int]] = []
        """Lives in the last cut that are added up, with their frontiers: the queue may forget them."""
        self._compared: set[ProducerRecord] = set()
        self._since_ms = 0
        self._note = ""

    def snapshot(self, cut: Cut, count: Count, ask: Ask, *, now_s: float) -> AccountingReport:
        """What holds at this cut; `now_s` is of any steady clock. Whatever `count` or `ask` raise changes nothing
        here."""
        last = self._last
        died = _died(since(last, self._base), cut, ask, now_s) if last is not None and last.queue != cut.queue else None
        dead = [_settled(each, now_s, count) for each in (*self._dead, *([died] if died else ()))]
        here = {record.producer for record in cut.producers}
        base = {} if died else {name: record for name, record in self._base.items() if name in here}
        report = self._report(since(cut, base), dead, count, ask)
        if last is None and (cut.forgotten or not report.holds):
            base = {record.producer: record for record in cut.producers}
            self._note = _LEFT_OUT if report.holds else _NOT_HERE
            report = self._report(since(cut, base), dead, count, ask)
        if last is None:
            self._since_ms = cut.at_ms if base or not cut.producers else 0
            report = _with_since(report, self._since_ms)
        closed, dead = _close_dead(self._closed, dead, count)
        quiet = _quiet(cut, self._quiet, now_s)
        closed, base = _close_lives(closed, base, quiet, count, now_s)
        self._last, self._base, self._dead, self._closed, self._quiet = cut, base, dead, closed, quiet
        self.over = [(r.producer, r.frontier) for r, _ in quiet.values() if base.get(r.producer) == r]
        return report

    def _report(self, cut: Cut, dead: list[_Dead], count: Count, ask: Ask) -> AccountingReport:
        closed = self._closed
        differences, produced = [], closed.produced + sum(each.produced for each in dead)
        for record in cut.producers:
            produced += record.offered
            ledger = None if record in self._compared or record.first else ask(record.producer, record.frontier)
            if ledger is None:
                continue
            offered = ledger.produced - ledger.undecided
            produced += offered - record.offered
            if (offered, ledger.refused) == (record.offered, record.refused):
                self._compared.add(record)
            else:
                differences.append(
                    f"{record.producer} counts {offered} offered and {ledger.refused} refused,"
                    f" the queue {record.offered} and {record.refused}"
                )
        self._compared &= set(cut.producers)
        refused = closed.refused + sum(each.refused for each in dead) + sum(record.refused for record in cut.producers)
        queued = sum(held.count for held in cut.outstanding if not held.lent)
        lent = sum(held.count for held in cut.outstanding if held.lent)
        if (queued, lent) != (cut.queued, cut.in_flight):
            differences.append(
                f"the queue counts {cut.queued} queued and {cut.in_flight} in flight, and names {queued} and {lent}"
            )
        stored_before = [count(each.cut) for each in dead]
        lost = closed.lost + sum(
            each.produced - each.refused - stored if each.lost is None else each.lost
            for each, stored in zip(dead, stored_before, strict=True)
        )
        stored = closed.stored + count(cut) + sum(stored_before)
        missing = produced - refused - queued - lent - stored - lost
        if missing:
            differences.append(f"{abs(missing)} samples {'are missing' if missing > 0 else 'are there too often'}")
        return AccountingReport(
            produced,
            refused,
            queued,
            lent,
            stored,
            cut.at_ms,
            not differences,
            lost,
            self._since_ms,
            "; ".join([*differences, *([self._note] if self._note else [])]),
        )


def since(cut: Cut, base: dict[str, ProducerRecord]) -> Cut:
    """The part of a cut that is about samples offered after `base`, an earlier one of the same queue."""
    if not base:
        return cut
    outstanding = [held for each in cut.outstanding for held in _after(each, base)]
    return Cut(
        cut.queue,
        cut.at_ms,
        sum(held.count for held in outstanding if not held.lent),
        sum(held.count for held in outstanding if held.lent),
        [_record_since(record, base.get(record.producer)) for record in cut.producers],
        outstanding,
    )


def _record_since(record: ProducerRecord, base: ProducerRecord | None) -> ProducerRecord:
    if base is None:
        return record
    return ProducerRecord(
        record.producer,
        base.frontier,
        record.frontier,
        record.offered - base.offered,
        record.accepted - base.accepted,
        record.refused - base.refused,
    )


def _after(held: Outstanding, base: dict[str, ProducerRecord]) -> Iterable[Outstanding]:
    begin = base[held.producer].frontier if held.producer in base else 0
    first = max(held.first, begin)
    if first < held.first + held.count:
        yield Outstanding(held.producer, first, held.first + held.count - first, held.lent)


def _died(last: Cut, cut: Cut, ask: Ask, now_s: float) -> _Dead:
    """What a queue that died was offered in all: its producers know more than its last cut."""
    goes_on = {record.producer for record in cut.producers}
    records = [_final(r, None if r.producer in goes_on or r.first else ask(r.producer, LAST)) for r in last.producers]
    return _Dead(
        cut=Cut(last.queue, last.at_ms, 0, 0, records, []),
        produced=sum(record.offered for record in records),
        refused=sum(record.refused for record in records),
        died_s=now_s,
    )


def _final(record: ProducerRecord, ledger: Ledger | None) -> ProducerRecord:
    if ledger is None or ledger.produced < record.frontier:
        return record
    accepted = ledger.produced - ledger.refused
    return ProducerRecord(record.producer, 0, ledger.produced, ledger.produced, accepted, ledger.refused)


def _settled(dead: _Dead, now_s: float, count: Count) -> _Dead:
    if dead.lost is not None or now_s - dead.died_s < SETTLE_S:
        return dead
    return replace(dead, lost=dead.produced - dead.refused - count(dead.cut))


def _close_dead(closed: _Closed, dead: list[_Dead], count: Count) -> tuple[_Closed, list[_Dead]]:
    """Add up the queues that died long ago and whose sum holds; the others remain."""
    remain = dead[-KEEP_DEAD:]
    for each in reversed(dead[:-KEEP_DEAD]):
        stored = count(each.cut)
        if each.lost is None or each.produced != each.refused + stored + each.lost:
            remain.insert(0, each)
            continue
        closed = closed.and_(produced=each.produced, refused=each.refused, stored=stored, lost=each.lost)
    return closed, remain


def _quiet(
    cut: Cut, before: dict[str, tuple[ProducerRecord, float]], now_s: float
) -> dict[str, tuple[ProducerRecord, float]]:
    """Lives that a later one of the same agent has followed, and since when each is as it is."""
    last = {_agent(record): record.producer for record in cut.producers}
    over = [record for record in cut.producers if last[_agent(record)] != record.producer]
    known = {record.producer: before.get(record.producer, (record, now_s)) for record in over}
    return {
        record.producer: known[record.producer] if known[record.producer][0] == record else (record, now_s)
        for record in over
    }


def _close_lives(
    closed: _Closed,
    base: dict[str, ProducerRecord],
    quiet: dict[str, tuple[ProducerRecord, float]],
    count: Count,
    now_s: float,
) -> tuple[_Closed, dict[str, ProducerRecord]]:
    """Add up lives that have been quiet for long and whose own sum holds."""
    base = dict(base)
    for name, (record, since_s) in quiet.items():
        if now_s - since_s < OVER_S or base.get(name) == record:
            continue
        part = _record_since(record, base.get(name))
        stored = count(Cut("", 0, 0, 0, [part], []))
        if part.offered == part.refused + stored:
            closed = closed.and_(produced=part.offered, refused=part.refused, stored=stored)
            base[name] = record
    return closed, base


def _agent(record: ProducerRecord) -> str:
    """Whose life it is; samples without an agent's name are nobody's."""
    agent, slash, _ = record.producer.partition("/")
    return agent if slash else record.producer


def _with_since(report: AccountingReport, since_ms: int) -> AccountingReport:
    return AccountingReport(
        report.produced,
        report.refused,
        report.queued,
        report.in_flight,
        report.stored,
        report.at_ms,
        report.holds,
        report.lost_with_queue,
        since_ms,
        report.note,
    )
