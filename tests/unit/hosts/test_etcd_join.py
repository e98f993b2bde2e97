"""How members of the store find each other, over a store in memory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from inaetics.errors import Conflict, InvalidInput
from inaetics.hosts.etcd_join import discover, join
from inaetics.hosts.etcd_member import Settings, settings_from
from inaetics.hosts.formation import forget_unformed
from inaetics.store.fake import FakeStore


def member(number: int, state: Path = Path("/s"), size: int = 3) -> Settings:
    return Settings(
        name=f"worker-{number}",
        address=f"127.17.8.{100 + number}",
        cluster_id="c0ffee",
        size=size,
        discovery="https://127.17.8.2:2379",
        state=state,
        pki=Path("/pki"),
    )


MEMBERS = {f"worker-{number}": f"https://127.17.8.{100 + number}:2380" for number in (1, 2, 3)}


def test_all_members_come_to_the_same_cluster() -> None:
    async def main() -> None:
        store = FakeStore()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            tasks = [group.create_task(discover(member(number), store.client())) for number in (3, 1, 2)]
        assert [task.result() for task in tasks] == [MEMBERS] * 3

    asyncio.run(main())


def test_one_member_waits_for_nobody() -> None:
    async def main() -> None:
        assert list(await discover(member(1, size=1), FakeStore())) == ["worker-1"]

    asyncio.run(main())


def test_who_comes_too_late_is_told() -> None:
    async def main() -> None:
        store = FakeStore()
        await discover(member(1, size=1), store)
        with pytest.raises(Conflict, match="complete with worker-1"):
            await discover(member(2, size=1), store)

    asyncio.run(main())


def test_a_purge_while_members_wait_does_not_leave_them_waiting() -> None:
    async def main() -> None:
        store = FakeStore()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            early = [group.create_task(discover(member(number), store.client())) for number in (1, 2)]
            while len((await store.list("/inaetics/formation/")).items) < 2:  # noqa: ASYNC110 - the fake has no event
                await asyncio.sleep(0.01)
            await store.delete("/inaetics/formation/", prefix=True)
            last = group.create_task(discover(member(3), store.client()))
        assert [task.result() for task in (*early, last)] == [MEMBERS] * 3

    asyncio.run(main())


def test_a_member_that_has_joined_needs_no_discovery(tmp_path: Path) -> None:
    here = member(2, tmp_path)
    here.formation.parent.mkdir()
    here.formation.write_text(json.dumps(MEMBERS))
    asyncio.run(join(here))
    config = json.loads((tmp_path / "etcd.yml").read_text())
    assert config["initial-cluster"].count("https://") == 3
    assert config["name"] == "worker-2"


@pytest.mark.parametrize(
    ("left", "cleared"),
    [
        pytest.param({}, False, id="nothing was begun"),
        pytest.param({1: ["data", "forming"], 2: ["forming"]}, True, id="none was ever ready"),
        pytest.param({1: ["data", "forming"], 2: ["data"]}, False, id="one was ready: the store holds something"),
        pytest.param({1: ["data"]}, False, id="no mark, no clearing"),
        pytest.param({1: ["forming"]}, False, id="found each other, not started: goes on from there"),
    ],
)
def test_only_a_store_that_never_was_is_cleared(tmp_path: Path, left: dict[int, list[str]], cleared: bool) -> None:
    places = [tmp_path / str(number) for number in (1, 2, 3)]
    for number, names in left.items():
        for name in (*names, "formation.json"):
            (tmp_path / str(number) / name).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert forget_unformed(places) is cleared
    assert sorted(tmp_path.rglob("*")) == ([] if cleared else before)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(InvalidInput, match="INAETICS_HOST is not set"):
        settings_from({})
