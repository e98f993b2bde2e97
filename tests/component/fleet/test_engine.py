"""Leaders that die, answers that are lost, ground that changes: what is stored stays valid, and the work gets done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

from typing_extensions import override

from inaetics.errors import Conflict, Unavailable
from inaetics.fleet import keys, mapper
from inaetics.fleet.engine import Engine
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Desired, UnitName
from inaetics.fleet.settings import EngineSettings
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Changed, Guard, Op, Relisted, Store, Synced, WatchEvent
from tests.support.fleet import ENGINE, Fleet, fleet, machine_id, service

LAUNCHED = Desired.LAUNCHED
MANY = 250
Hook = Callable[[int], Awaitable[None]]


class Meddler:
    """A store that calls `before` and `after` around the engine's n-th write of a plan, counted from 1.

    `meanwhile` is called before every write of anybody, with what is to be written.
    """

    def __init__(
        self,
        store: FakeStore,
        *,
        before: Hook | None = None,
        after: Hook | None = None,
        meanwhile: Callable[[Sequence[Op]], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._meanwhile = meanwhile
        self._before = before
        self._after = after
        self.count = 0

    async def commit(self, ops: Sequence[Op], *, guards: Sequence[Guard] = ()) -> int:
        if self._meanwhile:
            await self._meanwhile(ops)
        if not any(op.key == keys.LEDGER for op in ops) or len(ops) == 1:
            return await self._store.commit(ops, guards=guards)
        self.count += 1
        if self._before:
            await self._before(self.count)
        revision = await self.write(ops, guards)
        if self._after:
            await self._after(self.count)
        return revision

    async def write(self, ops: Sequence[Op], guards: Sequence[Guard]) -> int:
        """Write the engine's `count`-th transaction of a plan."""
        return await self._store.commit(ops, guards=guards)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def engine_over(made: Fleet, store: Any, candidate: str, settings: EngineSettings = ENGINE) -> None:
    made.run(Engine(store, made.mirror, candidate=candidate, settings=settings).run, f"engine {candidate}")


async def placed_once(made: Fleet, count: int, *, never: str = "") -> None:
    """Follow the store: no unit is ever in two places, and `never` in none; return when `count` are in one."""
    where: dict[str, set[str]] = {}
    async for event in made.store.client().watch(keys.PLACEMENTS):
        match event:
            case Relisted():
                where = {}
                for item in event.listing.items:
                    machine, unit = keys.on_machine(item.key.removeprefix(keys.PLACEMENTS))
                    where.setdefault(unit, set()).add(machine)
            case Changed():
                machine, unit = keys.on_machine(event.key.removeprefix(keys.PLACEMENTS))
                homes = where.setdefault(unit, set())
                homes.add(machine) if event.current else homes.discard(machine)
                continue
            case Synced():
                pass
        assert all(len(homes) <= 1 for homes in where.values()), where
        assert never not in where
        if sum(map(len, where.values())) == count:
            return


async def submit_many(made: Fleet) -> None:
    for number in range(MANY):
        await made.registry.submit(f"a@{number}.service", service(), desired=LAUNCHED)


async def depose(made: Fleet) -> None:
    """The leader's lease ends, as when it was killed."""
    [key, *_] = sorted((await made.store.list(keys.ELECTION + "/")).items, key=lambda item: item.create_revision)
    made.store.expire(key.lease)


def test_a_leader_that_dies_between_two_chunks_leaves_a_valid_state_and_a_successor_goes_on() -> None:
    async def main() -> None:
        async with fleet(3, engine=False) as made:
            await submit_many(made)
            died = asyncio.Event()

            async def die(count: int) -> None:
                if count == 1:
                    await depose(made)
                    died.set()
                    await asyncio.sleep(0.05)

            engine_over(made, Meddler(made.store, after=die), "dies")
            engine_over(made, made.store, "lives")
            async with asyncio.timeout(20):
                await placed_once(made, MANY)
            assert died.is_set()

    asyncio.run(main())


def test_a_deposed_leader_writes_nothing_more() -> None:
    """Even what was on its way already."""

    async def main() -> None:
        async with fleet(3, engine=False) as made:
            await submit_many(made)
            outcomes: list[str] = []

            class Deposed(Meddler):
                @override
                async def write(self, ops: Sequence[Op], guards: Sequence[Guard]) -> int:
                    async def on_its_way() -> None:
                        try:
                            await made.store.commit(ops, guards=guards)
                            outcomes.append("written")
                        except Conflict:
                            outcomes.append("refused")

                    if self.count == 2:
                        await depose(made)
                        await asyncio.shield(on_its_way())
                    return await super().write(ops, guards)

            engine_over(made, Deposed(made.store), "deposed")
            await made.until(lambda: outcomes, "the second transaction was tried")
            assert outcomes == ["refused"]
            async with asyncio.timeout(20):
                await placed_once(made, MANY)  # it stands again, and goes on

    asyncio.run(main())


def test_an_answer_that_was_lost_leads_to_no_second_placement() -> None:
    async def main() -> None:
        async with fleet(3, engine=False) as made:
            await submit_many(made)

            async def lose_answer(count: int) -> None:
                if count in (1, 3):
                    raise Unavailable("the answer was lost on the way")

            engine_over(made, Meddler(made.store, after=lose_answer), "deaf")
            async with asyncio.timeout(20):
                await placed_once(made, MANY)

    asyncio.run(main())


def test_a_write_that_arrives_late_is_void() -> None:
    """Its sender was told that the store does not answer, and has decided anew since."""

    async def main() -> None:
        async with fleet(3, engine=False) as made:
            await submit_many(made)
            late = Late(made.store)
            engine_over(made, late, "late")
            async with asyncio.timeout(20):
                await placed_once(made, MANY)
            assert late.was_void

    asyncio.run(main())


class Late(Meddler):
    """The first write of a plan arrives after the second."""

    def __init__(self, store: FakeStore) -> None:
        super().__init__(store)
        self._delayed: tuple[Sequence[Op], Sequence[Guard]] = ((), ())
        self.was_void = False

    @override
    async def write(self, ops: Sequence[Op], guards: Sequence[Guard]) -> int:
        if self.count == 1:
            self._delayed = (ops, [guard for guard in guards if _is_of_engine(guard)])
            raise Unavailable("no answer in time")
        revision = await super().write(ops, guards)
        if self.count == 2:
            try:
                await super().write(*self._delayed)
            except Conflict:
                self.was_void = True
        return revision


def _is_of_engine(guard: Guard) -> bool:
    return guard.key.startswith((keys.ELECTION, keys.LEDGER))


def test_a_unit_destroyed_while_it_is_being_placed_is_not_placed_and_the_others_are() -> None:
    async def main() -> None:
        async with fleet(3, engine=False) as made:
            await submit_many(made)

            async def destroy(count: int) -> None:
                if count == 1:
                    await made.registry.destroy("a@7.service")

            engine_over(made, Meddler(made.store, before=destroy), "surprised")
            async with asyncio.timeout(20):
                await placed_once(made, MANY - 1, never="a@7.service")

    asyncio.run(main())


def test_an_engine_whose_view_is_late_does_not_forget_what_it_has_written() -> None:
    class Delayed:
        """A store whose watches tell each change a moment late."""

        def __init__(self, store: FakeStore) -> None:
            self._store = store

        async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
            async for event in self._store.watch(prefix):
                if isinstance(event, Changed):
                    await asyncio.sleep(0.05)
                    yield event
                    yield Synced(revision=event.revision)
                elif isinstance(event, Relisted):
                    yield event

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

    async def main() -> None:
        async with fleet(2, engine=False) as made:
            mirror = Mirror(cast("Store", Delayed(made.store)))
            made.run(mirror.run, "late mirror")
            await mirror.ready()

            async def submit_the_other(count: int) -> None:
                if count == 1:
                    await made.registry.submit("b.service", service("Conflicts=a.service"), desired=LAUNCHED)

            meddler = Meddler(made.store, before=submit_the_other)
            made.run(Engine(cast("Store", meddler), mirror, candidate="late", settings=ENGINE).run, "late engine")
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.where("b.service"), "b is placed")
            assert made.where("b.service") != made.where("a.service")

    asyncio.run(main())


def test_a_new_leader_waits_for_machines_it_has_never_seen() -> None:
    async def main() -> None:
        async with fleet(2, engine=False) as made:
            first = made.start_engine("first")
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service") == ["worker-1"], "a is on worker-1")
            await first.stop()
            await power_off(made, 1)
            mirror = Mirror(made.store)
            made.run(mirror.run, "another mirror")
            await mirror.ready()
            begin = asyncio.get_running_loop().time()
            made.start_engine("second", mirror)
            await made.until(lambda: made.where("a.service") == ["worker-2"], "a moved")
            assert asyncio.get_running_loop().time() - begin >= ENGINE.grace_s

    asyncio.run(main())


def test_a_witness_does_not_wait_when_the_leader_dies_with_its_machine() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            mirror = Mirror(made.store)
            made.run(mirror.run, "another mirror")
            await mirror.ready()
            made.start_engine("second", mirror, EngineSettings(lost_margin_s=600))
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service") == ["worker-1"], "a is on worker-1")
            made.start_agent(2)
            await made.until(lambda: len(mirror.snapshot.machines) == 2, "worker-2 came")
            await made.registry.submit("b.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("b.service") == ["worker-2"], "b is on worker-2")
            await made.engines[0].stop()
            await power_off(made, 2)
            await made.until(lambda: made.where("b.service") == ["worker-1"], "b moved, long before the margin's end")

    asyncio.run(main())


def test_a_leader_that_has_just_begun_does_not_wait_for_machines_it_has_heard() -> None:
    """It came after the machines, whose keys it found; the reports of their units tell it that they live."""

    async def main() -> None:
        async with fleet(2, engine=False) as made:
            mirror = Mirror(made.store)
            made.run(mirror.run, "another mirror")
            await mirror.ready()
            made.start_engine("second", mirror, EngineSettings(lost_margin_s=600))
            for number in range(2):
                await made.registry.submit(f"a@{number}.service", service(), desired=LAUNCHED)
            await made.until(lambda: len(mirror.snapshot.states) == 2, "both are reported")
            (unit,) = made.supervisors[2].running()
            await power_off(made, 2)
            await made.until(lambda: made.where(unit) == ["worker-1"], "it moved, long before the margin's end")

    asyncio.run(main())


def test_a_leader_that_has_just_begun_does_not_wait_for_machines_whose_leases_are_renewed() -> None:
    """Nothing happens on them that they would report."""

    async def main() -> None:
        async with fleet(2) as made:
            for number in range(2):
                await made.registry.submit(f"a@{number}.service", service(), desired=LAUNCHED)
            await made.until(lambda: len(made.mirror.snapshot.states) == 2, "both are reported")
            await made.engines[0].stop()
            mirror = Mirror(made.store)
            engine = Engine(made.store, mirror, candidate="second", settings=EngineSettings(lost_margin_s=600))
            attendance = engine._attendance
            made.run(engine.run, "second engine")
            await asyncio.sleep(0)  # it begins before it knows anything
            made.run(mirror.run, "another mirror")
            await made.until(lambda: len(attendance.unheard) == 2, "both are called")
            await made.until(lambda: not attendance.unheard, "both are heard", within_s=60)
            (unit,) = made.supervisors[2].running()
            await power_off(made, 2)
            await made.until(lambda: made.where(unit) == ["worker-1"], "it moved, long before the margin's end")

    asyncio.run(main())


def test_a_restart_of_everything_moves_nothing() -> None:
    async def main() -> None:
        async with fleet(3, engine=False) as made:
            first = made.start_engine("first")
            for number in range(9):
                await made.registry.submit(f"a@{number}.service", service(), desired=LAUNCHED)
            await made.until(lambda: len(made.mirror.snapshot.states) == 9, "all run")
            before = {number: each.running() for number, each in made.supervisors.items()}
            await first.stop()
            for number in (1, 2, 3):
                await power_off(made, number)
            mirror = Mirror(made.store)
            made.run(mirror.run, "another mirror")
            patient = EngineSettings(machine_ttl_s=1, lost_margin_s=2)
            made.start_engine("second", mirror, patient)
            for number in (3, 2, 1):
                await asyncio.sleep(0.3)
                made.start_agent(number)
            await made.until(lambda: len(made.mirror.snapshot.states) == 9, "all are reported")
            await asyncio.sleep(patient.grace_s)
            assert {number: each.running() for number, each in made.supervisors.items()} == before

    asyncio.run(main())


def test_a_file_that_is_submitted_again_just_then_is_not_collected() -> None:
    async def main() -> None:
        async with fleet(1, engine=False) as made:
            await made.registry.submit("a.service", service())
            await made.registry.destroy("a.service")
            unused = keys.file(mapper.content_hash(service()))

            async def submit_again(ops: Sequence[Op]) -> None:
                if any(op.key == unused for op in ops):
                    await made.registry.submit("b.service", service())

            engine_over(made, Meddler(made.store, meanwhile=submit_again), "collector", EngineSettings(full_pass_s=0.2))
            await made.until(lambda: UnitName("b.service") in made.mirror.snapshot.units, "b came in between")
            await asyncio.sleep(0.2)
            assert await made.store.get(unused), "b's file is there"

    asyncio.run(main())


async def power_off(made: Fleet, number: int) -> None:
    """The agent is gone and its lease has ended; units are left to the test's supervisor."""
    await made.agents[number].stop()
    item = await made.store.get(keys.machine(machine_id(number)))
    assert item
    made.store.expire(item.lease)
