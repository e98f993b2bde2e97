"""A fleet in a thread: the API's whole process over the store in memory, the real engine, and machines that play along.

A machine answers its placements at once: launched is active, loaded is inactive, withdrawn is acknowledged. `script`
says otherwise for single units. Machines serve journals as agents do, over mutual TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog
from typing_extensions import override

from inaetics.api.client import FleetClient
from inaetics.api.endpoint import ClientTls
from inaetics.api.process import serve_over
from inaetics.api.provisioning_archives import Archives, Unchecked
from inaetics.api.settings import ApiSettings
from inaetics.errors import NotFound
from inaetics.fleet import keys, mapper
from inaetics.fleet.agent_server import AgentServer, mutual_tls
from inaetics.fleet.model import Desired, Machine, MachineId, Placement, UnitName, UnitState
from inaetics.fleet.unit_commands import UnitCommands
from inaetics.store.fake import FakeStore
from inaetics.store.protocol import Changed, KeyValue, Lease, Relisted
from inaetics.supervisor.protocol import Active, UnitStatus
from tests.support.etcd import Authority, free_subnet, make_certificates
from tests.support.fake_supervisor import FakeSupervisor
from tests.support.tags import FakeTags

T = TypeVar("T")

API_PORT = 49153

OTHERS = ("operator", "api", "reader-wall", "agent-worker-1", "etcd-worker-1", "operators", "api-worker-1")
"""Names to whom certificates are made out, beside the one of `LiveFleet.client_tls`."""


NODES = ("node-worker-1", "operator", "api")
"""Names to whom the node agents' authority makes out certificates here."""


@dataclass(slots=True)
class Script:
    """What machines report of single units instead of success: (active, sub, result, message)."""

    reports: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    journals: dict[str, list[str]] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    """The digests that machines find units to run, where they were told none."""
    giving_up_s: float = 0.0
    """How long a machine takes to give a unit up."""
    starts_in_s: tuple[float, float, float] | None = None
    """How long after a placement its image is there, it was launched, and is active; None: times are all long ago."""
    silent: set[MachineId] = field(default_factory=set)
    """Machines that have no journals."""
    restarts: list[str] = field(default_factory=list)
    followers: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let journals that are followed go on by one line."""


class LiveFleet:
    """Use `live_fleet`."""

    def __init__(self, directory: Path, machines: int) -> None:
        self.subnet = free_subnet()
        self.addresses = [f"{self.subnet}.{101 + n}" for n in range(machines)]
        addresses = [*self.addresses, f"{self.subnet}.10"]
        tls = make_certificates(directory, addresses, server_name="api", others=OTHERS)
        _make_node_certificates(directory)
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
        self.tags = FakeTags()
        self.archives: Archives = Unchecked()
        self.script: Script
        self.store: FakeStore
        self._machines: dict[str, tuple[Machine, Lease]] = {}
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fleet")

    def certificate(self, name: str) -> ClientTls:
        """A certificate made out to one of `OTHERS`."""
        directory = self.client_tls.ca.parent
        cert, key = (directory / f"client-{name}{suffix}" for suffix in (".pem", ".key"))
        return ClientTls(ca=self.client_tls.ca, cert=cert, key=key)

    def node_certificate(self, name: str) -> ClientTls:
        """One of the node agents' authority, made out to one of `NODES`."""
        directory = self.client_tls.ca.parent / "nodes"
        return ClientTls(ca=self.client_tls.ca, cert=directory / f"{name}.pem", key=directory / f"{name}.key")

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

    @contextmanager
    def lost(self, name: str) -> Iterator[None]:
        """The fleet believes that this machine died."""
        machine, lease = self._machines[name]

        async def begin() -> None:
            await self.store.delete(keys.machine(machine.id))

        async def end() -> None:
            await self.store.put(keys.machine(machine.id), mapper.machine_value(machine), lease=lease.id)

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
            stopping, ready = self._stopping, self._ready.set
            await serve_over(
                self.store, self.settings, stopping=stopping, ready=ready, tags=self.tags, archives=self.archives
            )
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
        context = mutual_tls(ca=self.server_tls.ca, cert=self.server_tls.cert, key=self.server_tls.key)
        async with asyncio.TaskGroup() as group, store.lease(5) as lease:
            supervisor = ScriptedSupervisor(self, store, machine.id, lease)
            commands = UnitCommands(store, supervisor, machine.id, engine_file=None, environment=os.environ)
            group.create_task(AgentServer(supervisor, commands).run(address, context=context), name="server")
            self._machines[machine.name] = (machine, lease)
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
        value = mapper.state_value(self.state_for(placement))
        await store.put(keys.state(*at), value, lease=lease.id)

    def state_for(self, placement: Placement) -> UnitState:
        load, (active, sub, result, message) = "loaded", ("inactive", "dead", "success", "")
        if placement.withdraw:
            load = "not-found"
        elif placement.desired is Desired.LAUNCHED:
            running = ("active", "running", "success", "")
            active, sub, result, message = self.script.reports.get(placement.unit, running)
        pulled, started, since = 0.0, 0.0, 1_700_000_000.0 + placement.revision
        if self.script.starts_in_s:
            pulled, started, since = (time.time() + later for later in self.script.starts_in_s)
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
            since=since,
            pulled_at=pulled,
            started_at=started,
            image=placement.image or self.script.found.get(placement.unit, ""),
        )


def _make_node_certificates(directory: Path) -> None:
    """The node agents' authority and its certificates, as on a control host."""
    place = directory / "nodes"
    place.mkdir()
    authority = Authority(place, "test nodes-ca")
    for name in NODES:
        authority.issue(place / name, [name], [])
    nodes = (place / "ca.pem").read_text()
    (directory / "nodes-ca.pem").write_text(nodes)
    (directory / "api-clients.pem").write_text((directory / "ca.pem").read_text() + nodes)


class ScriptedSupervisor(FakeSupervisor):
    """What a machine's own server asks: the states that the machine reports, journals and restarts by the script."""

    def __init__(self, fleet: LiveFleet, store: FakeStore, machine: MachineId, lease: Lease) -> None:
        super().__init__()
        self._fleet = fleet
        self._store = store
        self._machine = machine
        self._lease = lease

    @override
    async def states(self) -> dict[str, UnitStatus]:
        listing = await self._store.list(keys.states_of(self._machine))
        found = (mapper.state(keys.on_machine(item.key.removeprefix(keys.STATES)), item) for item in listing.items)
        return {
            state.unit: UnitStatus(
                name=state.unit,
                load=state.load,
                active=Active(state.active),
                sub=state.sub,
                result=state.result,
                content_hash=state.content_hash,
                since=state.since,
            )
            for state in found
        }

    @override
    async def restart(self, name: str) -> None:
        at = (self._machine, UnitName(name))
        self._fleet.script.restarts.append(name)
        placed = await self._store.get(keys.placement(*at))
        assert placed is not None
        state = dataclasses.replace(self._fleet.state_for(mapper.placement(at, placed)), since=time.time())
        await self._store.put(keys.state(*at), mapper.state_value(state), lease=self._lease.id)

    @override
    async def journal(self, name: str, *, lines: int = 10, follow: bool = False) -> AsyncIterator[str]:
        script = self._fleet.script
        known = script.journals.get(name)
        if known is None or self._machine in script.silent:
            raise NotFound(f"no journal of {name!r}")
        for line in known[len(known) - lines :] if lines else ():
            yield line
        if follow:
            await script.followers.wait()
            yield "and then this"


@contextmanager
def live_fleet(*, machines: int = 3, archives: Archives | None = None) -> Iterator[LiveFleet]:
    """Run a fleet for the block. It logs errors only: what commands print is looked at by tests.

    Without `archives` it believes that every bundle's archive is in a registry.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="inaetics-api-") as directory:
        fleet = LiveFleet(Path(directory), machines)
        fleet.archives = archives or fleet.archives
        fleet.start()
        try:
            yield fleet
        finally:
            fleet.stop()
            structlog.reset_defaults()
