"""What can be broken, one class each, behind one protocol.

`inject` breaks it at once; `heal` mends it, also when `inject` was stopped halfway, and does not wait for what follows.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from inaetics.hosts.system_units import ETCD
from tests.fault.cluster import FaultCluster
from tests.fault.network import Network


class Fault(Protocol):
    """Something that goes wrong on purpose."""

    def available(self) -> str | None:
        """Why this cannot be injected here, or None. A test fails then: it does not skip."""

    def inject(self) -> None: ...

    def heal(self) -> None: ...


@dataclass(frozen=True, slots=True)
class All:
    """Several at once."""

    faults: tuple[Fault, ...]

    def available(self) -> str | None:
        return next((reason for each in self.faults if (reason := each.available())), None)

    def inject(self) -> None:
        for each in self.faults:
            each.inject()

    def heal(self) -> None:
        for each in self.faults:
            each.heal()


@dataclass(frozen=True, slots=True)
class LinkCut:
    """The link of a host is dead in both directions, and nobody is told."""

    cluster: FaultCluster
    host: str

    def available(self) -> str | None:
        return Network.unavailable()

    def inject(self) -> None:
        self.cluster.network.cut(self.host)

    def heal(self) -> None:
        self.cluster.network.heal()


@dataclass(frozen=True, slots=True)
class OneWay:
    """What `senders` send to `receivers` is lost; what comes back arrives."""

    cluster: FaultCluster
    senders: Collection[str]
    receivers: Collection[str]

    def available(self) -> str | None:
        return Network.unavailable()

    def inject(self) -> None:
        for sender in self.senders:
            for receiver in self.receivers:
                if sender != receiver:
                    self.cluster.network.drop(sender, receiver)

    def heal(self) -> None:
        self.cluster.network.heal()


@dataclass(frozen=True, slots=True)
class PowerCut:
    """Everything on these hosts is killed at once; healing switches them on again."""

    cluster: FaultCluster
    hosts: tuple[str, ...]

    def available(self) -> str | None:
        return None

    def inject(self) -> None:
        self.cluster.power_cut(*self.hosts)

    def heal(self) -> None:
        self.cluster.boot(*self.hosts)


@dataclass(frozen=True, slots=True)
class Killed:
    """The main process of a system unit, or the `supervisor`, is killed; it is started again without our doing."""

    cluster: FaultCluster
    host: str
    unit: str

    def available(self) -> str | None:
        return None

    def inject(self) -> None:
        os.kill(self.cluster.pid(self.host, self.unit), signal.SIGKILL)

    def heal(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Frozen:
    """A unit's main process stands still: its connections stay, and nobody answers on them.

    It goes on afterwards; one that `dies` is killed instead, and started again by its supervisor.
    """

    cluster: FaultCluster
    host: str
    unit: str
    dies: bool = False

    def available(self) -> str | None:
        return None

    def inject(self) -> None:
        os.kill(self.cluster.pid(self.host, self.unit), signal.SIGSTOP)

    def heal(self) -> None:
        os.kill(self.cluster.pid(self.host, self.unit), signal.SIGKILL if self.dies else signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class StoreStopped:
    """All members of the store are stopped."""

    cluster: FaultCluster

    def available(self) -> str | None:
        return None

    def inject(self) -> None:
        asyncio.run(self._each(self.cluster.control, start=False))

    def heal(self) -> None:
        asyncio.run(self._each(self.cluster.control, start=True))

    async def _each(self, hosts: Iterable[str], *, start: bool) -> None:
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                supervisor = self.cluster.supervisor(host)
                group.create_task(supervisor.start(ETCD) if start else supervisor.stop(ETCD), name=host)


@dataclass(frozen=True, slots=True)
class Halted:
    """The whole cluster is switched off in order, and on again."""

    cluster: FaultCluster

    def available(self) -> str | None:
        return None

    def inject(self) -> None:
        self.cluster.halt()

    def heal(self) -> None:
        self.cluster.boot(*self.cluster.names)


@dataclass(frozen=True, slots=True)
class StoreFilled:
    """The store has no room left: what is written is refused until an operator makes room."""

    cluster: FaultCluster

    def available(self) -> str | None:
        return None if shutil.which("etcdctl") else "etcdctl not found (install: apt-get install etcd-client)"

    def inject(self) -> None:
        filling = b"x" * 1_000_000
        for number in range(100):
            done = self.cluster.store.try_etcdctl("put", f"/fault/filling/{number}", stdin=filling)
            if b"database space exceeded" in done.stderr:
                return
            assert done.returncode == 0, done.stderr.decode()
        raise AssertionError("100 MB did not fill the store")

    def heal(self) -> None:
        self.cluster.store.etcdctl("del", "--prefix", "/fault/filling/")
        self.cluster.inaetics("etcd", "defragment")
