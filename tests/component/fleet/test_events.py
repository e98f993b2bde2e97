"""What a process that follows the store tells of what happened; over the real engine and real agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from inaetics.fleet import keys
from inaetics.fleet.events import Clock, Event, read_position
from inaetics.fleet.events_chronicle import Chronicle
from inaetics.fleet.events_files import EventFiles
from inaetics.fleet.events_ring import Wanted
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Desired
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Store, Synced, WatchEvent
from inaetics.supervisor.protocol import Active
from tests.support.fleet import Fleet, fleet, service

ALL = Wanted()
LAUNCHED = Desired.LAUNCHED


@asynccontextmanager
async def _told(made: Fleet, directory: Path | None = None, mirror: Mirror | None = None) -> AsyncIterator[Chronicle]:
    """A chronicle of the fleet for the time of the block."""
    chronicle = Chronicle(made.store, mirror or made.mirror, directory)
    running = made.run(chronicle.run, "events")
    await chronicle.ready(within_s=30)
    try:
        yield chronicle
    finally:
        await running.stop()


def _kinds(chronicle: Chronicle, unit: str) -> list[str]:
    return [event.kind.value for event in chronicle.latest(Wanted(unit=unit), 100)]


def _same(event: Event) -> object:
    """What every observer must agree on."""
    fields = msgspec.to_builtins(event)
    assert isinstance(fields, dict)
    if event.clock is not Clock.RECORD:
        fields.pop("time")
        fields.pop("clock")
    return fields


def test_a_units_way_is_told_from_submit_to_removal() -> None:
    async def main() -> None:
        async with fleet(1) as made, _told(made) as chronicle:
            made.supervisors[1].start_s = made.supervisors[1].stop_s = 0.15
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            await made.registry.destroy("a.service")
            await made.until(lambda: "removed" in _kinds(chronicle, "a.service"), "a is removed")
            kinds = _kinds(chronicle, "a.service")
            assert [kind for kind in kinds if kind not in ("activating", "deactivating", "inactive")] == [
                "submitted",
                "placed",
                "active",
                "destroyed",
                "withdrawn",
                "removed",
            ]
            [placed] = chronicle.latest(Wanted(kind="placed"), 5)
            assert (placed.machine, placed.clock) == ("worker-1", Clock.RECORD)
            assert "least loaded" in placed.reason

    asyncio.run(main())


def test_a_failover_has_its_timeline() -> None:
    async def main() -> None:
        async with fleet(2) as made, _told(made) as chronicle:
            await made.registry.submit("a.service", service("MachineMetadata=role=inaetics-agent"), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service") == ["worker-1"], "a is active")
            made.supervisors[2].start_s = 0.1
            await made.agents[1].stop()
            for lease in [item.lease for item in (await made.store.list("")).items if item.key.endswith(f"{1:032x}")]:
                made.store.expire(lease)
            await made.until(lambda: "failover" in _kinds(chronicle, "a.service"), "the failover is told")
            [told] = chronicle.latest(Wanted(kind="failover"), 5)
            assert (told.machine, told.left, told.reason) == ("worker-2", "worker-1", "worker-1 was lost")
            line = told.timeline
            assert line is not None
            assert line.detected_at is not None
            assert line.pulled_ms is not None
            assert line.started_ms is not None
            assert 0 <= line.decided_ms <= line.pulled_ms <= line.started_ms <= line.active_ms
            assert line.active_ms - line.started_ms >= 90
            kinds = [event.kind.value for event in chronicle.latest(Wanted(machine="worker-1"), 100)]
            assert kinds[-3:] == ["left", "moved", "failover"]

    asyncio.run(main())


def test_failures_carry_their_message_and_repeat_nothing() -> None:
    async def main() -> None:
        async with fleet(1) as made, _told(made) as chronicle:
            made.supervisors[1].refuses["a.service"] = "line 1: no such directive"
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: "refused" in _kinds(chronicle, "a.service"), "the refusal is told")
            await made.registry.submit("b.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("b.service"), "b is active")
            made.supervisors[1].end("b.service", Active.FAILED, result="exit-code")
            await made.until(lambda: "failed" in _kinds(chronicle, "b.service"), "the failure is told")
            [refused] = chronicle.latest(Wanted(kind="refused"), 5)
            [failed] = chronicle.latest(Wanted(kind="failed"), 5)
            assert refused.message == "resources: line 1: no such directive"
            assert failed.message == "exit-code"

    asyncio.run(main())


def test_a_machine_that_returns_with_what_it_ran_tells_of_no_start() -> None:
    async def main() -> None:
        async with fleet(1) as made, _told(made) as chronicle:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            before = _kinds(chronicle, "a.service")
            await made.agents[1].stop()
            for lease in [item.lease for item in (await made.store.list("")).items if item.key.endswith(f"{1:032x}")]:
                made.store.expire(lease)
            made.start_agent(1, role="inaetics-agent")
            await made.until(lambda: chronicle.latest(Wanted(kind="returned"), 1), "the machine is back")
            assert _kinds(chronicle, "a.service") == before
            assert [event.kind.value for event in chronicle.latest(ALL, 2)] == ["left", "returned"]

    asyncio.run(main())


def test_observers_agree_on_every_event_and_its_place(tmp_path: Path) -> None:
    """One follows from the beginning, one is restarted, one comes last and reads the history."""

    async def main() -> None:
        async with fleet(2) as made, _told(made, tmp_path / "a") as first:
            async with _told(made, tmp_path / "b"):
                await made.registry.submit("a.service", service(), desired=LAUNCHED)
                await made.until(lambda: made.active("a.service"), "a is active")
            await made.registry.submit("b.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("b.service"), "b is active")
            async with _told(made, tmp_path / "b") as second, _told(made) as third:
                await made.registry.destroy("a.service")
                await made.until(lambda: "removed" in _kinds(first, "a.service"), "a is removed")
                observers = (first, second, third)
                await made.until(lambda: len({each.last for each in observers}) == 1, "all have read on")
                told = [[_same(event) for event in each.latest(ALL, 1000)] for each in observers]
                assert len(told[0]) > 10
                assert told[0] == told[1] == told[2]
                late = [event.clock for event in second.latest(Wanted(unit="b.service"), 10)]
                assert late[0] is Clock.LATER

    asyncio.run(main())


class Late:
    """A store whose watches tell each response a moment late."""

    def __init__(self, store: FakeStore, delay_s: float) -> None:
        self._store = store
        self._delay_s = delay_s

    async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
        async for event in self._store.watch(prefix, after=after):
            if isinstance(event, Synced):
                await asyncio.sleep(self._delay_s)
            yield event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize(("history_s", "mirror_s"), [(0.02, 0.0), (0.0, 0.02), (0.0, 0.0)])
def test_nothing_is_lost_or_counted_twice_when_the_mirror_takes_over(
    tmp_path: Path, history_s: float, mirror_s: float
) -> None:
    """Started again and again in the middle of many writes, with the history or the mirror ahead."""

    async def main() -> None:
        async with fleet(1, engine=False) as made, _told(made) as whole:
            mirror = Mirror(cast("Store", Late(made.store, mirror_s)))
            made.run(mirror.run, "late mirror")
            await mirror.ready()
            store = cast("Store", Late(made.store, history_s))

            async def write() -> None:
                for number in range(150):
                    await made.registry.submit(f"a@{number}.service", service())
                    await asyncio.sleep(0.003)

            async with asyncio.TaskGroup() as group:
                writing = group.create_task(write())
                while not writing.done():
                    chronicle = Chronicle(store, mirror, tmp_path)
                    running = made.run(chronicle.run, "events")
                    await asyncio.sleep(0.15)
                    await running.stop()
            chronicle = Chronicle(store, mirror, tmp_path)
            running = made.run(chronicle.run, "events")
            await made.registry.destroy("a@0.service")
            told = (whole, chronicle)
            await made.until(
                lambda: all("destroyed" in _kinds(each, "a@0.service") for each in told), "both have read on"
            )
            assert [event.position for event in chronicle.latest(ALL, 1000)] == [
                event.position for event in whole.latest(ALL, 1000)
            ]
            await running.stop()
            reached = EventFiles(tmp_path).read_reached()
            assert reached is not None
            assert reached.keys == len((await made.store.list(keys.PREFIX)).items)

    asyncio.run(main())


def test_history_that_is_gone_is_said_and_only_then(tmp_path: Path) -> None:
    async def main() -> None:
        async with fleet(1) as made:
            async with _told(made, tmp_path):
                await made.registry.submit("a.service", service(), desired=LAUNCHED)
                await made.until(lambda: made.active("a.service"), "a is active")
            made.store.compact()
            async with _told(made, tmp_path) as unmissed:
                assert not unmissed.latest(Wanted(kind="history"), 5)
            await made.registry.submit("b.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("b.service"), "b is active")
            made.store.compact()
            async with _told(made, tmp_path) as missed:
                told = [event.kind.value for event in missed.latest(ALL, 100)]
                assert told[-1] == "history"
                assert "submitted" in told
                await made.registry.destroy("b.service")
                await made.until(lambda: "removed" in _kinds(missed, "b.service"), "what comes after is told")

    asyncio.run(main())


def test_a_damaged_record_costs_what_is_damaged(tmp_path: Path) -> None:
    async def main() -> None:
        async with fleet(1) as made:
            async with _told(made, tmp_path) as chronicle:
                await made.registry.submit("a.service", service(), desired=LAUNCHED)
                await made.until(lambda: made.active("a.service"), "a is active")
                whole = [event.position for event in chronicle.latest(ALL, 100)]
            record = tmp_path / "events.jsonl"
            content = record.read_bytes()
            record.write_bytes(b"nonsense\n" + content[:-30])
            (tmp_path / "reached.json").unlink()
            async with _told(made, tmp_path) as again:
                await made.until(lambda: again.last >= whole[-1], "it has read on")
                assert [event.position for event in again.latest(ALL, 100)] == whole

    asyncio.run(main())


def test_a_store_put_back_begins_another_history(tmp_path: Path) -> None:
    async def main() -> None:
        async with fleet(1) as made, _told(made, tmp_path):
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
        store = FakeStore()
        for number in range(3):
            await store.put(f"/elsewhere/{number}", b"")
        mirror = Mirror(store)
        async with asyncio.TaskGroup() as group:
            chronicle = Chronicle(store, mirror, tmp_path)
            tasks = [group.create_task(mirror.run()), group.create_task(chronicle.run())]
            await chronicle.ready(within_s=30)
            [told] = chronicle.latest(ALL, 100)
            assert "put back" in told.message
            for task in tasks:
                task.cancel()

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "x", "1.x", "1.2.3", "-1", "9" * 20])
def test_what_is_no_position_is_not_read_as_one(text: str) -> None:
    assert read_position(text) is None
