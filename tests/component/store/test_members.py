"""Three members with mutual TLS that die, one after another and all at once, under writers, watchers and leaders."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inaetics.errors import Unavailable
from inaetics.store.background import beside
from inaetics.store.etcd import Tls, connect
from inaetics.store.protocol import Store
from tests.component.store.record import judge, recording
from tests.support.etcd import EtcdCluster, make_certificates
from tests.support.eventually import aeventually


class Writer:
    """Writes 0, 1, 2, … to one key. `acknowledged` maps the revisions it was told to values."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self.acknowledged: dict[int, bytes] = {}
        self.failed = 0

    async def write(self) -> None:
        n = 0
        while True:
            value = str(n).encode()
            try:
                self.acknowledged[await self._store.put(self._key, value)] = value
            except Unavailable:
                self.failed += 1
            n += 1
            await asyncio.sleep(0.005)

    async def goes_on(self) -> None:
        """Wait until it has written some more."""
        enough = len(self.acknowledged) + 5

        async def more() -> bool:
            return len(self.acknowledged) >= enough

        await aeventually(more, within_s=30, what="the writer writes again")


@asynccontextmanager
async def _writing(store: Store, key: str) -> AsyncIterator[Writer]:
    writer = Writer(store, key)
    async with beside(writer.write(), name="writer"):
        yield writer


def test_no_change_is_missed_or_told_twice_while_every_member_is_killed_in_turn(members: EtcdCluster) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(100),
            members.connect() as store,
            members.connect(timeout_s=30) as other,
            recording(store, "/rolling/") as record,
        ):
            await record.begins()
            async with _writing(other, "/rolling/n") as writer:
                for member in range(3):
                    await writer.goes_on()
                    members.kill(member)
                    await writer.goes_on()
                    await asyncio.to_thread(members.start, member)
                await writer.goes_on()
            await record.reaches(await other.put("/rolling/n", b"last"))
            judge(record.events)
            assert record.relistings == 1
            told = {change.revision: change.current.value for change in record.changes if change.current}
            assert writer.acknowledged.items() <= told.items()
            # Nobody else writes to these members, so every revision there is must have been told.
            assert sorted(told) == list(range(min(told), max(told) + 1))
            assert writer.failed == 0

    asyncio.run(main())


def test_all_members_away_for_seconds_and_back(members: EtcdCluster) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(100),
            members.connect(timeout_s=2.0) as store,
            recording(store, "/all/") as record,
            store.lease(30) as lease,
        ):
            lease.renew_every(1)
            await record.begins()
            await record.reaches(await store.put("/all/leased", b"", lease=lease.id))
            members.kill()
            with pytest.raises(Unavailable, match="cannot get '/all/leased'"):
                await store.get("/all/leased")
            await asyncio.sleep(1)
            await asyncio.to_thread(members.start)
            await record.reaches(await store.put("/all/a", b"after"))
            judge(record.events)
            assert [change.key for change in record.changes] == ["/all/leased", "/all/a"]
            renewed = lease.deadline

            async def kept() -> bool:
                return lease.deadline > renewed

            await aeventually(kept, within_s=20, what="the lease is renewed again")

    asyncio.run(main())


def test_a_frozen_member_does_not_stop_watches_calls_or_leases(
    members: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = (members.leader() + 1) % 3
    monkeypatch.setattr("random.randrange", lambda count: frozen)  # the client begins with it

    async def main() -> None:
        async with asyncio.timeout(60), members.connect(silence_s=0.5) as store, store.lease(3) as lease:
            async with recording(store, "/frozen/a") as one, recording(store, "/frozen/") as two:
                await one.begins()
                await two.begins()
                members.pause(frozen)
                try:
                    for n in range(10):
                        last = await store.put("/frozen/a", str(n).encode(), lease=lease.id)
                        await one.reaches(last)
                        await two.reaches(last)
                    await asyncio.sleep(2)
                    assert await store.get("/frozen/a") is not None
                finally:
                    members.resume(frozen)
            judge(one.events)
            judge(two.events)

    asyncio.run(main())


_LEADER = """
import asyncio, sys
from pathlib import Path
from inaetics.store.etcd import Tls, connect

async def main():
    ca, cert, key, *endpoints = sys.argv[1:]
    async with connect(endpoints, tls=Tls(ca=Path(ca), cert=Path(cert), key=Path(key))) as store:
        async with store.lead("/office/process", "process", ttl_s=2):
            await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_office_moves_when_its_holders_process_is_killed(members: EtcdCluster) -> None:
    assert members.tls is not None
    files = [str(path) for path in (members.tls.ca, members.tls.cert, members.tls.key)]

    async def main(process: subprocess.Popen[bytes]) -> None:
        async with asyncio.timeout(60), members.connect() as store:

            async def governs() -> bool:
                return await store.leader("/office/process") == "process"

            await aeventually(governs, within_s=40, what="the process governs")
            os.kill(process.pid, signal.SIGKILL)
            async with store.lead("/office/process", "successor", ttl_s=2):
                assert await store.leader("/office/process") == "successor"

    process = subprocess.Popen([sys.executable, "-c", _LEADER, *files, *members.endpoints])
    try:
        asyncio.run(main(process))
    finally:
        process.kill()
        process.wait()


def test_who_is_not_of_the_cluster_is_refused(members: EtcdCluster, tmp_path: object) -> None:
    async def main(tls: Tls) -> None:
        async with connect(members.endpoints, tls=tls, timeout_s=0.5) as store:
            with pytest.raises(Unavailable, match="cannot get"):
                await store.get("/a")

    from pathlib import Path

    assert isinstance(tmp_path, Path)
    assert members.tls is not None
    strangers = make_certificates(tmp_path, members.addresses)
    asyncio.run(main(strangers))
    asyncio.run(main(Tls(ca=members.tls.ca, cert=strangers.cert, key=strangers.key)))
