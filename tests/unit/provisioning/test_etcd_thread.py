"""Jobs on etcd's thread go on for as long as the process; one that does not is told of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inaetics.provisioning.etcd_thread import EtcdThread, Job
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Store


@asynccontextmanager
async def opened() -> AsyncIterator[FakeStore]:
    yield FakeStore()


async def returns(store: Store) -> None:
    await asyncio.sleep(0)


async def cancels_itself(store: Store) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("job", [returns, cancels_itself])
def test_a_job_that_ends_by_itself_is_a_failure(job: Job) -> None:
    told: list[str] = []
    failed = threading.Event()

    def tell(reason: str) -> None:
        told.append(reason)
        failed.set()

    thread = EtcdThread(opened, failed=tell)
    thread.add("writing", job)
    thread.start()
    assert failed.wait(20)
    thread.stop()
    assert told == ["Unavailable: writing ended by itself, though it goes on for as long as this process"]


def test_jobs_that_are_told_to_stop_have_not_failed() -> None:
    told: list[str] = []
    began = threading.Event()

    async def goes_on(store: Store) -> None:
        began.set()
        await asyncio.sleep(600)

    thread = EtcdThread(opened, failed=told.append)
    thread.add("writing", goes_on)
    thread.start()
    assert began.wait(20)
    thread.stop(20)
    assert told == []
