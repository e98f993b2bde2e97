"""A fleet in a thread: the API's whole process over the store in memory, the real engine, and machines that play along.

A machine answers its placements at once: launched is active, loaded is inactive, withdrawn is acknowledged. `script`
says otherwise for single units. Machines serve journals as agents do, over mutual TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from inaetics.api.client import FleetClient
from inaetics.api.endpoint import ClientTls
from inaetics.api.listener import Listener, server_context, tcp_socket
from inaetics.api.process import serve_over
from inaetics.api.settings import ApiSettings
from inaetics.fleet import keys, mapper
from inaetics.fleet.model import Desired, Machine, MachineId, Placement, UnitState
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Changed, KeyValue, Lease, Relisted
from tests.support.etcd import free_subnet, make_certificates

T = TypeVar("T")

AGENT_PORT = 49154
API_PORT = 49153


@dataclass(slots=True)
class Script:
    """What machines report of single units instead of success: (active, sub, result, message)."""

    reports: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    journals: dict[str, list[str]] = field(default_factory=dict)
    giving_up_s: float = 0.0
    """How long a machine takes to give a unit up."""
    followers: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let journals that are followed go on by one line."""


class LiveFleet:
    """Use `live_fleet`."""

    def __init__(self, directory: Path, machines: int) -> None:
        self.subnet = free_subnet()
        self.addresses = [f"{self.subnet}.{101 + n}" for n in range(machines)]
        tls = make_certificates(directory, [*self.addresses, f"{self.subnet}.10"])
        self.client_tls = ClientTls(ca=tls.ca, cert=tls.cert, key=tls.key)
        self.server_tls = ClientTls(ca=tls.ca, cert=directory / "server.pem", key=directory / "server.key")
        self.socket = directory / "fleet.sock"
        self.settings = ApiSettings(
            address=f"{self.subnet}.10",
            port=API_PORT,
            socket=self.socket,
            tls=self.server_tls,
            etcd_endpoints=("unused",),
            candidate="test",
        )
        self.script: Script
        self.store: FakeStore
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fleet")

    @property
    def url(self) -> str:
        return f"https://{self.settings.address}:{API_PORT}"

    def client(self) -> FleetClient:
        """A client over the Unix socket."""
        return FleetClient(f"unix://{self.socket}")

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the fleet's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work(), self._loop)
        return future.result(timeout=30)

    def report(self, unit: str, active: str, sub: str, result: str = "success", message: str = "") -> None:
        """From its next placement on, machines report this of `unit`."""
        self.script.reports[unit] = (active, sub, result, message)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The API's store is away; machines go on."""
        stack = contextlib.ExitStack()

        async def begin() -> None:
            stack.enter_context(self.store.outage())

        async def end() -> None:
            stack.close()

        self.call(begin)
        try:
            yield
        finally:
            self.call(end)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None or not self._ready.is_set():
            self._thread.join(1)
            raise AssertionError("the fleet did not start") from self._failure

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._loop.call_soon_threadsafe(self.script.followers.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the fleet does not stop"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - told to the test's thread
            self._failure = error
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.script = Script()
        self.store = FakeStore()
        async with asyncio.TaskGroup() as group:
            agents = [
                group.create_task(self._machine(n, address), name=f"machine {n}")
                for n, address in enumerate(self.addresses)
            ]
            await serve_over(self.store, self.settings, stopping=self._stopping, ready=self._ready.set)
            for agent in agents:
                agent.cancel()

    async def _machine(self, n: int, address: str) -> None:
        machine = Machine(
            id=MachineId(f"{n + 1:032x}"),
            name=f"worker-{n + 1}",
            address=address,
            incarnation="1",
            metadata={"role": "inaetics-agent"},
        )
        store = self.store.client()
        app = Starlette(routes=[Route("/journal/{name}", self._journal)])
        listener = Listener(app, tcp_socket(address, AGENT_PORT), self._stopping, server_context(self.server_tls))
        async with asyncio.TaskGroup() as group, store.lease(5) as lease:
            group.create_task(listener.run_until_stopped(), name="journals")
            await store.put(keys.machine(machine.id), mapper.machine_value(machine), lease=lease.id)
            async for event in store.watch(keys.placements_of(machine.id)):
                if isinstance(event, Relisted):
                    for item in event.listing.items:
                        await self._answer(store, lease, item.key, item)
                elif isinstance(event, Changed):
                    await self._answer(store, lease, event.key, event.current)

    async def _answer(self, store: FakeStore, lease: Lease, key: str, item: KeyValue | None) -> None:
        at = keys.on_machine(key.removeprefix(keys.PLACEMENTS))
        if item is None:
            await store.delete(keys.state(*at))
            return
        placement = mapper.placement(at, item)
        if placement.withdraw:
            await asyncio.sleep(self.script.giving_up_s)
        value = mapper.state_value(self._state(placement))
        await store.put(keys.state(*at), value, lease=lease.id)

    def _state(self, placement: Placement) -> UnitState:
        load, (active, sub, result, message) = "loaded", ("inactive", "dead", "success", "")
        if placement.withdraw:
            load = "not-found"
        elif placement.desired is Desired.LAUNCHED:
            running = ("active", "running", "success", "")
            active, sub, result, message = self.script.reports.get(placement.unit, running)
        return UnitState(
            unit=placement.unit,
            machine=placement.machine,
            load=load,
            active=active,
            sub=sub,
            content_hash=placement.content_hash,
            placement_revision=placement.revision,
            result=result,
            message=message,
            since=1_700_000_000.0,
        )

    async def _journal(self, request: Request) -> Response:
        lines = self.script.journals.get(request.path_params["name"])
        if lines is None:
            return PlainTextResponse("no such journal", 404)
        last = lines[-int(request.query_params["lines"]) :]
        follow = request.query_params["follow"] == "1"

        async def text() -> AsyncIterator[str]:
            for line in last:
                yield line + "\n"
            if follow:
                await self.script.followers.wait()
                yield "and then this\n"

        return StreamingResponse(text(), media_type="text/plain")


@contextmanager
def live_fleet(*, machines: int = 3) -> Iterator[LiveFleet]:
    """Run a fleet for the block. It logs errors only: what commands print is looked at by tests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="inaetics-api-") as directory:
        fleet = LiveFleet(Path(directory), machines)
        fleet.start()
        try:
            yield fleet
        finally:
            fleet.stop()
            structlog.reset_defaults()
