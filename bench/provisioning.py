"""A change of mapping, from the wish to everywhere: 100 simulated agents over the real client, mutual TLS and etcd.

``python -m bench.provisioning [--agents N] [--runs N]``. Real are: three members of etcd, the provisioning server as a
process, the API's transaction, the client every node agent uses, hashes and signatures. Simulated is only what happens
inside an agent afterwards: starting the bundles (`bench.bundle_update` measures that).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.agents import Program, Site
from tests.support.bundles import packed
from tests.support.etcd import EtcdCluster, etcd_cluster
from tests.support.eventually import eventually
from tests.support.signing import Signing, signing

from bench.baselines import Figure, add_save, finish
from inaetics.api.provisioning import Provisioning
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.exchange import Deployment, Report
from inaetics.bundles.signature import verify
from inaetics.errors import Unavailable
from inaetics.node.provisioning_client import ProvisioningClient
from inaetics.node.remote.tls import tls_contexts

BUDGET_S = 5.0
BUNDLES = 3
"""Bundles each agent has; a change gives everybody a new version of one."""
HOLD_S = 30.0
IDLE_S = 10.0


@dataclass(slots=True)
class Agent:
    """Follows its deployment as a node agent does, and writes down when it had what."""

    target: str
    client: ProvisioningClient
    anchors: Path
    had: dict[str, float] = field(default_factory=dict)
    """Bundles of a deployment → when all of it was here, and checked."""
    known: set[str] = field(default_factory=set)
    running: str = ""
    downloads: int = 0

    def follow(self) -> None:
        while True:
            try:
                found = self.client.deployment(
                    self.target, after=self.running, running=self.running, error="", wait_s=HOLD_S
                )
                if found is not None:
                    self._install(found)
            except Unavailable:
                if self.client.url == "":
                    return
                time.sleep(0.2)

    def _install(self, found: Deployment) -> None:
        for bundle in found.bundles:
            if bundle.sha256 not in self.known:
                data = self.client.fetch(bundle)
                assert hashlib.sha256(data).hexdigest() == bundle.sha256
                verify(bundle.sha256, bundle.signature, anchors=self.anchors)
                self.known.add(bundle.sha256)
                self.downloads += 1
        self.had[",".join(f"{bundle.name}@{bundle.version}" for bundle in found.bundles)] = time.monotonic()
        self.running = found.version
        self.client.report(self.target, Report(version=found.version, state="installed"))


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what was started is ended then, too
    with tempfile.TemporaryDirectory(prefix="inaetics-bench-") as place, etcd_cluster(size=3, tls=True) as etcd:
        directory = Path(place)
        for n in range(BUNDLES):
            packed(directory, f"bundle{n}", "1.0.0", init="x = 1\n" * 2000)
        for run in range(options.runs):
            packed(directory, "bundle0", f"1.{run + 1}.0", init=f"x = {run}\n" * 2000)
        site = Site(etcd, directory)
        try:
            return _measure(site, etcd, signing(directory / "signing"), options)
        finally:
            site.close()


def _measure(site: Site, etcd: EtcdCluster, signer: Signing, options: argparse.Namespace) -> int:
    anchors = Path(site.environment["INAETICS_TLS_DIR"]) / "signers.pem"
    anchors.write_text(signer.anchors.read_text())
    site.publish(signer.sign)
    server = site.provisioning()
    url = eventually(lambda: site.agents_url(), within_s=20, what="the server is registered")
    _apply(etcd, _mapping("1.0.0"))
    agents = _agents(options.agents, url, anchors)
    first = _names("1.0.0")
    eventually(
        lambda: all(first in agent.had for agent in agents), within_s=60, what="every agent has its first bundles"
    )
    before = _cpu(server)
    time.sleep(IDLE_S)
    idle = (_cpu(server) - before) / IDLE_S * 60
    seconds, cpu = [], []
    for run in range(options.runs):
        spent, began = _cpu(server), time.monotonic()
        _apply(etcd, _mapping(f"1.{run + 1}.0"))
        seconds.append(_everywhere(agents, f"1.{run + 1}.0") - began)
        time.sleep(1.0)
        cpu.append(_cpu(server) - spent)
    assert all(agent.downloads == BUNDLES + options.runs for agent in agents), "only what changed was fetched"
    figures = _figures(options.agents, seconds, cpu, idle, _memory_mb(server))
    return finish("provisioning", figures, keep=options.save)


def _everywhere(agents: Sequence[Agent], version: str) -> float:
    """Wait until every agent has this version of the bundle that changes; returns when the last one had."""
    wanted = _names(version)
    eventually(lambda: all(wanted in agent.had for agent in agents), within_s=60, what=f"{wanted} is everywhere")
    return max(agent.had[wanted] for agent in agents)


def _agents(count: int, url: str, anchors: Path) -> list[Agent]:
    tls = tls_contexts(anchors.parent).client
    agents = [
        Agent(target=f"celix@{n}", client=ProvisioningClient(url, tls=tls), anchors=anchors) for n in range(count)
    ]
    for agent in agents:
        threading.Thread(target=agent.follow, name=agent.target, daemon=True).start()
    return agents


def _apply(etcd: EtcdCluster, text: str) -> None:
    """As the API does it."""

    async def change() -> None:
        async with etcd.connect() as store:
            await Provisioning(store).change(VersionRequest(text=text, by="bench"))

    asyncio.run(change())


def _mapping(version: str) -> str:
    others = ", ".join(f'"bundle{n}"' for n in range(1, BUNDLES))
    return f'[[rules]]\ntarget = "celix@*"\ninstall = ["bundle0@{version}", {others}]\n'


def _names(version: str) -> str:
    return ",".join([f"bundle0@{version}", *(f"bundle{n}@1.0.0" for n in range(1, BUNDLES))])


def _cpu(server: Program) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _memory_mb(server: Program) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _figures(agents: int, seconds: Sequence[float], cpu: Sequence[float], idle: float, memory: float) -> list[Figure]:
    return [
        Figure(what=f"a change of mapping, from the wish to all {agents} agents", samples=seconds, target=BUDGET_S),
        Figure(what=f"the server's CPU for it: {agents} downloads and reports", samples=cpu, measure="CPU s"),
        Figure(what=f"the server with {agents} held questions, idle", samples=[idle], measure="CPU s/min"),
        Figure(what=f"the server's memory with {agents} agents", samples=[memory], measure="MB"),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.provisioning", description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    add_save(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
