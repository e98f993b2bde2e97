"""The agent's daemon as hosts run it: a process over a real etcd with mutual TLS and a real supervisor."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from inaetics.api.agents import RemoteAgents
from inaetics.errors import NotFound, Unavailable
from inaetics.fleet import keys
from inaetics.fleet.engine import Engine
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Desired, MachineId, UnitName, UnitState
from inaetics.fleet.registry import Registry
from inaetics.fleet.settings import EngineSettings
from tests.component.supervisor.daemon import Daemon, daemon
from tests.support.etcd import EtcdCluster, etcd_server
from tests.support.eventually import aeventually

MACHINE = MachineId("0123456789abcdef0123456789abcdef")
SLEEPER = "[Service]\nExecStart=/bin/sh -c 'echo hello from %n; exec sleep 1000'\n"
MEMORY_BUDGET_MB = 60


@dataclass
class Host:
    """One machine of a fleet: etcd, engine and registry in this process; supervisor and agent as daemons."""

    etcd: EtcdCluster
    supervisor: Daemon
    mirror: Mirror
    registry: Registry
    pki: Path
    agent: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return self.etcd.addresses[0]

    def start_agent(self) -> None:
        environment = {
            **os.environ,
            "INAETICS_HOST": "worker-1",
            "INAETICS_MACHINE_ID": MACHINE,
            "INAETICS_ADDRESS": self.address,
            "INAETICS_METADATA": "role=inaetics-agent",
            "INAETICS_ETCD_ENDPOINTS": ",".join(self.etcd.endpoints),
            "INAETICS_PKI": str(self.pki),
            "INAETICS_RUN": str(self.pki),
            "INAETICS_STATE": str(self.pki),
        }
        command = [sys.executable, "-m", "inaetics.fleet.agent_main"]
        self.agent = subprocess.Popen(command, env=environment)

    def end_agent(self, number: signal.Signals) -> int:
        assert self.agent is not None
        self.agent.send_signal(number)
        status = self.agent.wait(30)
        self.agent = None
        return status

    def state(self, name: str) -> UnitState | None:
        return self.mirror.snapshot.states.get((MACHINE, UnitName(name)))

    def stored(self, key: str) -> bool:
        """Whether etcd has it now."""
        return "kvs" in self.etcd.post("/v3/kv/range", {"key": base64.b64encode(key.encode()).decode()})

    async def is_active(self, name: str) -> None:
        async def look() -> bool:
            state = self.state(name)
            return state is not None and state.active == "active"

        await aeventually(look, within_s=60, what=f"{name} is active")

    async def is_listed(self, *, listed: bool = True) -> None:
        async def look() -> bool:
            return (MACHINE in self.mirror.snapshot.machines) is listed

        await aeventually(look, within_s=60, what=f"the machine is {'' if listed else 'not '}listed")


@asynccontextmanager
async def running_host(tmp_path: Path) -> AsyncIterator[Host]:
    with etcd_server(tls=True) as etcd:
        shutil.copy(etcd.directory / "ca.pem", tmp_path / "ca.pem")
        for suffix in (".pem", ".key"):  # the test's server certificate carries the address
            shutil.copy(etcd.directory / f"server{suffix}", tmp_path / f"agent{suffix}")
        async with daemon() as supervisor, etcd.connect() as store:
            (tmp_path / "supervisor.sock").symlink_to(supervisor.socket)
            mirror = Mirror(store)
            host = Host(etcd, supervisor, mirror, Registry(store), tmp_path)
            engine = Engine(store, mirror, candidate="test", settings=EngineSettings(lost_margin_s=1))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(mirror.run()), group.create_task(engine.run())]
                host.start_agent()
                try:
                    await host.is_listed()
                    yield host
                finally:
                    if host.agent:
                        host.end_agent(signal.SIGKILL)
                    for task in tasks:
                        task.cancel()


def test_an_agents_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_host(tmp_path) as host:
            await host.registry.submit("a.service", SLEEPER, desired=Desired.LAUNCHED)
            await host.is_active("a.service")
            pid = (await host.supervisor.status("a.service")).main_pid

            assert host.agent is not None
            assert _resident_mb(host.agent.pid) <= MEMORY_BUDGET_MB

            host.end_agent(signal.SIGKILL)
            host.start_agent()
            await asyncio.sleep(6)  # longer than the lease of the killed one
            await host.is_listed()
            await host.is_active("a.service")

            assert host.end_agent(signal.SIGTERM) == 0, "a restart in order: units run, so the machine stays listed"
            assert MACHINE in host.mirror.snapshot.machines
            host.start_agent()
            await host.registry.submit("b.service", SLEEPER, desired=Desired.LAUNCHED)
            await host.is_active("b.service")
            assert (await host.supervisor.status("a.service")).main_pid == pid

            for name in ("a.service", "b.service"):
                await host.registry.destroy(name)
                await host.supervisor.is_gone(name)
            assert host.end_agent(signal.SIGTERM) == 0
            assert not await asyncio.to_thread(host.stored, keys.machine(MACHINE)), "nothing runs, so it went at once"
            await host.is_listed(listed=False)

    asyncio.run(main())


def test_nothing_happens_to_units_while_the_store_or_the_supervisor_is_away(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_host(tmp_path) as host:
            await host.registry.submit("a.service", SLEEPER, desired=Desired.LAUNCHED)
            await host.is_active("a.service")
            before = await host.supervisor.status("a.service")

            await host.supervisor.again()
            await host.registry.submit("b.service", SLEEPER, desired=Desired.LAUNCHED)
            await host.is_active("b.service")
            assert await host.supervisor.status("a.service") == before

            await asyncio.to_thread(host.etcd.kill)
            await asyncio.sleep(7)  # longer than the machine's lease
            assert await host.supervisor.status("a.service") == before
            await asyncio.to_thread(host.etcd.start)
            await host.is_listed()
            await host.registry.destroy("b.service")
            await host.supervisor.is_gone("b.service")
            assert await host.supervisor.status("a.service") == before
            await host.is_active("a.service")

    asyncio.run(main())


def test_journals_are_served_to_the_clusters_certificates_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_host(tmp_path) as host:
            await host.registry.submit("a@1.service", SLEEPER, desired=Desired.LAUNCHED)
            await host.is_active("a@1.service")
            await host.supervisor.said("a@1.service", "hello")
            ours = RemoteAgents(_context(host.etcd))
            text = b"".join([piece async for piece in ours.read(host.address, "a@1.service", lines=50, follow=False)])
            assert b"hello from a@1.service" in text

            followed = b""
            async for piece in ours.read(host.address, "a@1.service", lines=50, follow=True):
                followed += piece
                if b"hello from a@1.service" in followed:
                    break

            with pytest.raises(NotFound):
                await anext(ours.read(host.address, "never.service", lines=1, follow=False))
            stranger = ssl.create_default_context(cafile=str(host.etcd.directory / "ca.pem"))
            with pytest.raises(Unavailable):
                await anext(RemoteAgents(stranger).read(host.address, "a@1.service", lines=1, follow=False))

    asyncio.run(main())


def _context(etcd: EtcdCluster) -> ssl.SSLContext:
    assert etcd.tls is not None
    context = ssl.create_default_context(cafile=str(etcd.tls.ca))
    context.load_cert_chain(str(etcd.tls.cert), str(etcd.tls.key))
    return context


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
