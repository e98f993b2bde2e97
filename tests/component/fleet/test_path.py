"""Units' ways through registry, engine, agent and supervisor, and back to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from inaetics.fleet import keys, mapper
from inaetics.fleet.explain import explain
from inaetics.fleet.model import Desired, Placement, UnitName
from inaetics.fleet.settings import EngineSettings
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Store, Synced, WatchEvent
from inaetics.supervisor.protocol import Active
from tests.support.fleet import AGENT, Fleet, fleet, machine_id, service

ALONE = service("Conflicts=%p@*.service")
LAUNCHED = Desired.LAUNCHED


def test_a_started_unit_is_placed_run_and_reported() -> None:
    async def main() -> None:
        async with fleet(3) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service") == ["worker-1"], "a is active on worker-1")
            assert made.runs_on("a.service") == [1]

    asyncio.run(main())


def test_a_unit_costs_three_writes_from_submit_to_active() -> None:
    async def main() -> None:
        async with fleet(1, agents=replace(AGENT, passing_delay_s=10)) as made:
            made.supervisors[1].start_s = 0.02
            await asyncio.sleep(0.1)
            before = made.store.revision
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            assert made.store.revision - before == 3

    asyncio.run(main())


def test_a_hundred_units_share_their_writes() -> None:
    async def main() -> None:
        async with fleet(5, engine=False) as made:
            for number in range(100):
                await made.registry.submit(f"a@{number}.service", service(), desired=LAUNCHED)
            before = made.store.revision
            made.start_engine("worker-1")
            await made.until(lambda: len(made.mirror.snapshot.states) == 100, "all are reported")
            assert [len(each.running()) for each in made.supervisors.values()] == [20] * 5
            assert made.store.revision - before < 40

    asyncio.run(main())


def test_a_low_disk_is_told_by_the_machine_that_goes_on_as_it_was() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            machines = made.mirror.snapshot.machines
            before = machines[machine_id(1)]
            made.told[1].tell_disk("1.9 of 40 GB free")
            await made.until(lambda: machines[machine_id(1)].low_disk, "the disk is told of")
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "reports still go out")
            made.told[1].tell_disk("")
            await made.until(lambda: not machines[machine_id(1)].low_disk, "there is room again")
            after = machines[machine_id(1)]
            assert (after.incarnation, after.lease) == (before.incarnation, before.lease)

    asyncio.run(main())


def test_a_stopped_unit_stays_loaded_and_starts_again() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            await made.registry.set_desired("a.service", Desired.LOADED)
            await made.until(lambda: not made.runs_on("a.service"), "a is stopped")
            await made.registry.set_desired("a.service", LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active again")

    asyncio.run(main())


def test_a_destroyed_unit_is_stopped_and_leaves_no_key() -> None:
    async def main() -> None:
        async with fleet(2, settings=EngineSettings(full_pass_s=0.5)) as made:
            made.supervisors[1].stop_s = 0.1
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            await made.registry.destroy("a.service")
            await made.until(lambda: not made.mirror.snapshot.placements, "its placement is removed")
            assert made.runs_on("a.service") == []
            await made.until(lambda: not made.mirror.snapshot.states, "its report is removed")
            await made.until(lambda: not made.mirror.snapshot.files, "its file is collected")

    asyncio.run(main())


def test_new_content_restarts_the_unit_with_it() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            pid = made.supervisors[1].running()["a.service"]
            new = service("MachineMetadata=role=inaetics-agent")
            unit = await made.registry.submit("a.service", new, replace=True)
            key = (machine_id(1), UnitName("a.service"))
            await made.until(lambda: made.mirror.snapshot.states[key].content_hash == unit.content_hash, "reported")
            assert made.supervisors[1].texts["a.service"] == new
            assert made.supervisors[1].running()["a.service"] != pid

    asyncio.run(main())


def test_units_of_a_lost_machine_move_or_wait_with_their_reason_and_resume() -> None:
    async def main() -> None:
        async with fleet(3) as made:
            for number in (1, 2, 3):
                await made.registry.submit(f"a@{number}.service", ALONE, desired=LAUNCHED)
            await made.registry.submit("b.service", service(f"MachineID={machine_id(3)}"), desired=LAUNCHED)
            await made.until(lambda: made.active("b.service") and made.active("a@3.service"), "worker-3 has its units")

            await cut_off(made, 3)
            await made.until(lambda: len(made.mirror.snapshot.machines) == 2, "worker-3 is gone")
            explanation = explain(made.mirror.snapshot, "a@3.service")
            assert explanation.waits
            assert explanation.summary.startswith(
                "its machine worker-3 does not answer; no other machine fits: 2 of 2 "
            )

            await made.registry.destroy("a@1.service")
            await made.until(lambda: made.where("a@3.service") == ["worker-1"], "a@3 moved to where there is room now")
            assert made.where("b.service") == ["worker-3"], "b waits: it has nowhere to go"

            made.start_agent(3, role="inaetics-agent")
            await made.until(lambda: made.active("b.service") == ["worker-3"], "b is reported again")
            await made.until(lambda: made.runs_on("a@3.service") == [1], "the copy that came back was stopped")

    asyncio.run(main())


def test_what_waits_resumes_in_place_when_its_machine_returns() -> None:
    async def main() -> None:
        async with fleet(2) as made:
            for number in (1, 2):
                await made.registry.submit(f"a@{number}.service", ALONE, desired=LAUNCHED)
            await made.until(lambda: made.active("a@2.service") == ["worker-2"], "a@2 is on worker-2")
            pids = made.supervisors[2].running()
            await cut_off(made, 2)
            await made.until(lambda: len(made.mirror.snapshot.machines) == 1, "worker-2 is gone")
            await asyncio.sleep(0.7)  # longer than the engine waits for it
            made.start_agent(2, role="inaetics-agent")
            await made.until(lambda: made.active("a@2.service") == ["worker-2"], "a@2 is reported again")
            assert made.supervisors[2].running() == pids

    asyncio.run(main())


def test_an_agent_that_restarts_changes_nothing_that_is_placed_and_stops_what_is_not() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.registry.submit("b.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service") and made.active("b.service"), "both are active")
            supervisor = made.supervisors[1]
            supervisor.add_system_unit("etcd.service")
            pid = supervisor.running()["a.service"]
            await made.agents[1].stop()
            await made.store.delete(keys.unit("b.service"))
            await made.store.delete(keys.placement(machine_id(1), UnitName("b.service")))
            made.start_agent(1)
            await made.until(lambda: supervisor.running() == {"a.service": pid}, "b was stopped, a never")
            assert "etcd.service" in await supervisor.states()
            assert supervisor.calls.count(("start", "a.service")) == 1

    asyncio.run(main())


def test_a_unit_that_ended_by_itself_is_its_supervisors_business() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            made.supervisors[1].end("a.service", Active.FAILED, result="exit-code")
            key = (machine_id(1), UnitName("a.service"))
            await made.until(lambda: made.mirror.snapshot.states[key].active == "failed", "the failure is reported")
            await made.agents[1].stop()
            made.start_agent(1)
            await asyncio.sleep(0.3)
            assert made.supervisors[1].calls.count(("start", "a.service")) == 1

    asyncio.run(main())


def test_a_rebooted_host_gets_its_units_back() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            pid = made.supervisors[1].running()["a.service"]
            made.supervisors[1].reboot()
            await made.until(lambda: made.runs_on("a.service"), "a runs again")
            assert made.supervisors[1].running()["a.service"] != pid

    asyncio.run(main())


def test_work_goes_on_while_the_supervisor_is_away_and_is_done_when_it_is_back() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            with made.supervisors[1].outage():
                await made.registry.submit("a.service", service(), desired=LAUNCHED)
                await made.until(lambda: made.where("a.service"), "a is placed")
                await asyncio.sleep(0.2)
            await made.until(lambda: made.active("a.service"), "a is active")

    asyncio.run(main())


def test_a_silent_store_stops_nothing_and_what_was_missed_is_done_afterwards() -> None:
    async def main() -> None:
        async with fleet(2) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.registry.submit("b.service", service(f"MachineID={machine_id(1)}"), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service") and made.active("b.service"), "both are active")
            with made.clients[1].outage():
                await made.registry.destroy("b.service")
                await asyncio.sleep(0.3)
                assert set(made.supervisors[1].running()) == {"a.service", "b.service"}
            await made.until(lambda: set(made.supervisors[1].running()) == {"a.service"}, "b is stopped")

    asyncio.run(main())


def test_a_new_agent_stops_nothing_before_it_has_read_what_is_placed() -> None:
    class Silent:
        """A store whose watches say nothing yet."""

        def __init__(self, store: FakeStore) -> None:
            self._store = store

        async def watch(self, prefix: str, *, after: int = 0) -> AsyncIterator[WatchEvent]:
            await asyncio.Event().wait()
            yield Synced(revision=0)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            pids = made.supervisors[1].running()
            await made.agents[1].stop()
            made.start_agent(1, store=cast("Store", Silent(made.store)))
            await asyncio.sleep(0.3)
            assert made.supervisors[1].running() == pids

    asyncio.run(main())


def test_a_placement_that_went_unseen_is_missed_in_the_next_listing() -> None:
    async def main() -> None:
        async with fleet(1, engine=False) as made:
            placement = Placement(
                unit=UnitName("a.service"),
                machine=machine_id(1),
                content_hash=(await made.registry.submit("a.service", service())).content_hash,
                desired=LAUNCHED,
                reason="",
                since=0.0,
            )
            key = keys.placement(machine_id(1), placement.unit)
            await made.store.put(key, mapper.placement_value(placement))
            await made.until(lambda: made.active("a.service"), "a is active")
            with made.clients[1].outage():
                await made.store.delete(key)
                made.store.compact()
            await made.until(lambda: not made.supervisors[1].running(), "a is stopped")

    asyncio.run(main())


def test_after_a_lost_lease_the_machine_returns_anew_with_every_report() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            pids = made.supervisors[1].running()
            before = made.mirror.snapshot.machines[machine_id(1)].incarnation
            item = await made.store.get(keys.machine(machine_id(1)))
            assert item
            made.store.expire(item.lease)
            await made.until(lambda: _incarnations(made) not in ([], [before]), "it is back, as another")
            await made.until(lambda: made.active("a.service"), "a is reported again")
            assert made.supervisors[1].running() == pids

    asyncio.run(main())


def test_what_an_earlier_agent_reported_is_gone_before_the_machine_is_listed_again() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            await made.agents[1].stop()
            old = made.mirror.snapshot.machines[machine_id(1)].incarnation
            made.supervisors[1].reboot()
            made.supervisors[1].starts_with["a.service"] = Active.FAILED
            believed: list[str] = []

            def look(_: object) -> None:
                machine = made.mirror.snapshot.machines[machine_id(1)]
                if machine.incarnation != old:
                    believed.extend(made.active("a.service"))

            with made.mirror.listening(look):
                made.start_agent(1)
                key = (machine_id(1), UnitName("a.service"))
                await made.until(
                    lambda: key in made.mirror.snapshot.states and made.mirror.snapshot.states[key].active == "failed",
                    "the new truth is reported",
                )
            assert not believed

    asyncio.run(main())


def test_a_report_that_cannot_be_written_does_not_cost_the_lease() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            await made.until(lambda: made.active("a.service"), "a is active")
            before = made.mirror.snapshot.machines[machine_id(1)].incarnation
            key = (machine_id(1), UnitName("a.service"))
            with made.clients[1].outage():
                made.supervisors[1].end("a.service", Active.FAILED)
                await asyncio.sleep(0.2)
            await made.until(lambda: made.mirror.snapshot.states[key].active == "failed", "the report came")
            assert made.mirror.snapshot.machines[machine_id(1)].incarnation == before

    asyncio.run(main())


def test_a_refused_unit_is_reported_as_failed_with_the_supervisors_words() -> None:
    async def main() -> None:
        async with fleet(1) as made:
            made.supervisors[1].refuses["a.service"] = "a.service, line 2: no such program"
            await made.registry.submit("a.service", service(), desired=LAUNCHED)
            key = (machine_id(1), UnitName("a.service"))
            await made.until(lambda: key in made.mirror.snapshot.states, "a is reported")
            state = made.mirror.snapshot.states[key]
            assert (state.load, state.active, state.message) == (
                "error",
                "failed",
                "a.service, line 2: no such program",
            )
            assert made.supervisors[1].calls.count(("load", "a.service")) == 1, "it is not tried over and over"
            await made.registry.destroy("a.service")
            await made.until(lambda: not made.mirror.snapshot.placements, "it can be destroyed all the same")

    asyncio.run(main())


def test_a_container_runs_as_a_service_by_the_hosts_engine(tmp_path: Path) -> None:
    text = "[Container]\nImage=registry/example:latest\n"

    async def main() -> None:
        engine = tmp_path / "engine.json"
        async with fleet(1, engine_file=engine) as made:
            await made.registry.submit("a.service", text, desired=LAUNCHED)
            key = (machine_id(1), UnitName("a.service"))
            await made.until(lambda: key in made.mirror.snapshot.states, "a is reported")
            assert "inaetics doctor" in made.mirror.snapshot.states[key].message

            engine.write_text('{"command": ["podman", "--root", "/somewhere"]}')
            unit = await made.registry.submit("b.service", text, desired=LAUNCHED)
            await made.until(lambda: made.active("b.service"), "b is active")
            assert "podman --root /somewhere" in made.supervisors[1].texts["b.service"]
            state = made.mirror.snapshot.states[machine_id(1), UnitName("b.service")]
            assert state.content_hash == unit.content_hash == mapper.content_hash(text)

    asyncio.run(main())


def _incarnations(made: Fleet) -> list[str]:
    return [machine.incarnation for machine in made.mirror.snapshot.machines.values()]


async def cut_off(made: Fleet, number: int) -> None:
    """The agent dies and its lease ends; its units go on."""
    await made.agents[number].stop()
    item = await made.store.get(keys.machine(machine_id(number)))
    assert item
    made.store.expire(item.lease)
