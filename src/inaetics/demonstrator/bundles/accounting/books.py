"""Whether the sum holds, pure: cuts of queues, counts of the datastore and of producers go in, reports come out.

The figures come from different witnesses, and none is a difference of others: the queue's cut says what was offered
(compared with what the producer itself counted at that call), refused, queued and lent; the datastore counts the rows
of just those samples that the cut does not hold. So a sample lost or stored twice between them makes the sum fail.

When a queue dies, what it held is gone. Processors may still store what it had lent them, for `SETTLE_S`; what of its
samples is neither refused nor stored after that is `lost_with_queue` from then on (until then it is what is missing at
the moment: only in this time is a figure a difference). A call that the dead queue never answered counts as lost,
unless its samples were stored.

Books begin with the first cut. When the sum does not hold for what was offered before it, because the datastore's data
stayed on another host, they are about what is offered from then on, and say so.
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

LAST = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dead:
    """A queue that died: what it was offered and refused. `lost` is None until everything has settled."""

    cut: Cut
    produced: int
    refused: int
    died_s: float
    lost: int | None = None


class Books:
    """The accounts of one datastore. Call `snapshot` with one cut after the other."""

    def __init__(self) -> None:
        self._last: Cut | None = None
        self._base: dict[str, ProducerRecord] = {}
        self._dead: list[_Dead] = []
        self._compared: set[ProducerRecord] = set()
        self._since_ms = 0
        self._note = ""

    def snapshot(self, cut: Cut, count: Count, ask: Ask, *, now_s: float) -> AccountingReport:
        """What holds at this cut; `now_s` is of any steady clock. Whatever `count` or `ask` raise changes nothing
        here."""
        last = self._last
        died = _died(since(last, self._base), cut, ask, now_s) if last is not None and last.queue != cut.queue else None
        dead = [_settled(each, now_s, count) for each in (*self._dead, *([died] if died else ()))]
        base = {} if died else self._base
        report = self._report(since(cut, base), dead, count, ask)
        if last is None and not report.holds:
            base = {record.producer: record for record in cut.producers}
            self._note = "samples offered before this accounting began are left out: their data is not in this store"
            report = self._report(since(cut, base), dead, count, ask)
        if last is None:
            self._since_ms = cut.at_ms if base or not cut.producers else 0
            report = _with_since(report, self._since_ms)
        self._last, self._base, self._dead = cut, base, dead
        return report

    def _report(self, cut: Cut, dead: list[_Dead], count: Count, ask: Ask) -> AccountingReport:
        differences, produced = [], sum(each.produced for each in dead)
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
        refused = sum(each.refused for each in dead) + sum(record.refused for record in cut.producers)
        queued = sum(held.count for held in cut.outstanding if not held.lent)
        lent = sum(held.count for held in cut.outstanding if held.lent)
        if (queued, lent) != (cut.queued, cut.in_flight):
            differences.append(
                f"the queue counts {cut.queued} queued and {cut.in_flight} in flight, and names {queued} and {lent}"
            )
        stored_before = [count(each.cut) for each in dead]
        lost = sum(
            each.produced - each.refused - stored if each.lost is None else each.lost
            for each, stored in zip(dead, stored_before, strict=True)
        )
        stored = count(cut) + sum(stored_before)
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
