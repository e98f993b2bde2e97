"""etcd on a thread of its own, for programs whose services run on threads.

One asyncio loop runs on that thread, with one connection to the store and some jobs, all in one task group. Nothing
else runs there: a service that was called on it and blocked would let leases end. Jobs hand what they learn to other
threads and are woken from them with `wake`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress

import structlog

from inaetics.errors import LeaseLost, Unavailable
from inaetics.store.protocol import Store
from inaetics.tasks import TaskGroup

log = structlog.get_logger()

Job = Callable[[Store], Coroutine[None, None, None]]
OpenStore = Callable[[], AbstractAsyncContextManager[Store]]

Body = Callable[[int], Coroutine[None, None, None]]

RETRY_S = 0.5
FAREWELL_S = 1.0
"""How long the end of a process waits for etcd to delete its keys; they go with their lease otherwise."""


class Wake:
    """An event that any thread may set and one job waits for. Use it only with the `EtcdThread` it was made for."""

    def __init__(self, thread: EtcdThread) -> None:
        self._thread = thread
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the job; without effect before the thread started and after it ended. Safe from any thread."""
        loop = self._thread.loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._event.set)
            except RuntimeError:  # the loop closed in between
                log.debug("woken after the end")

    async def wait(self) -> None:
        """Wait until `set` was called since the last `wait` returned."""
        await self._event.wait()
        self._event.clear()


class EtcdThread:
    """Runs jobs against the store until it is stopped. A job that ends, ends all of them and reports to `failed`."""

    def __init__(self, open_store: OpenStore, *, failed: Callable[[str], None]) -> None:
        self._open_store = open_store
        self._failed = failed
        self._jobs: list[tuple[str, Job]] = []
        self._thread = threading.Thread(target=self._run, name="etcd", daemon=True)
        self._stop = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    def add(self, name: str, job: Job) -> None:
        """Run `job` once the thread starts. A job goes on for ever and deals with `Unavailable` itself."""
        self._jobs.append((name, job))

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Cancel the jobs, let them clean up (leases are revoked) and end the thread. Idempotent."""
        loop = self.loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:  # it ended by itself
                log.debug("etcd thread had ended")
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except* Exception as errors:
            log.exception("etcd thread failed")
            self._failed("; ".join(f"{type(error).__name__}: {error}" for error in errors.exceptions))

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        async with self._open_store() as store, TaskGroup() as group:
            tasks = [group.create_task(_going_on(job(store), name), name=name) for name, job in self._jobs]
            await self._stop.wait()
            for task in tasks:
                task.cancel()


async def hold_lease(store: Store, ttl_s: float, prefix: str, body: Body) -> None:
    """Run `body(lease id)`, which writes keys below `prefix` and goes on, under a lease for ever.

    When the lease or the store is lost it is cancelled and run again under a new lease. The old one is left to run out:
    its keys are written over meanwhile, and nobody who watches them sees them go. When this is cancelled, the keys are
    deleted.
    """
    try:
        while True:
            await _under_one_lease(store, ttl_s, body)
    finally:
        with suppress(Unavailable, TimeoutError):  # the keys end with their lease
            async with asyncio.timeout(FAREWELL_S):
                await store.delete(prefix, prefix=True)


async def _under_one_lease(store: Store, ttl_s: float, body: Body) -> None:
    try:
        async with store.lease(ttl_s, revoke=False) as lease, TaskGroup() as group:
            task = group.create_task(_going_on(body(lease.id), "writing under a lease"), name="under lease")
            await lease.wait_lost()
            log.warning("lease lost, registering again", ttl_s=ttl_s)
            task.cancel()
    except* Unavailable as errors:
        if errors.subgroup(LeaseLost):  # a write was told so before a renewal was
            log.warning("lease lost, registering again", ttl_s=ttl_s)
        else:
            log.warning("store does not answer, trying again", error=str(errors.exceptions[0]))
        await asyncio.sleep(RETRY_S)


async def _going_on(work: Coroutine[None, None, None], what: str) -> None:
    """Do `work`, which goes on for ever. Should it end all the same, that is told: what relies on it is no use then.

    A task group takes a task that ended by a cancellation nobody asked for as one that ended well.
    """
    task = asyncio.current_task()
    try:
        await work
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
    raise Unavailable(f"{what} ended by itself, though it goes on for as long as this process")
