"""One member of a cluster's store, configured as `up` does it, with the cluster's certificates, but without hosts."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import Unavailable
from inaetics.files import replace_file
from inaetics.hosts import pki
from inaetics.hosts.cluster import Host, Role
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.rights import operator
from inaetics.hosts.services import etcd_config
from inaetics.ports import ETCD_PORT, PEER_PORT
from inaetics.store.endpoints import Tls
from inaetics.store.etcd import connect
from tests.support.etcd import free_subnet
from tests.support.eventually import eventually


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """It runs on `host`, whose certificates, and the operator's, are below `paths`."""

    paths: ClusterPaths
    host: Host

    @property
    def endpoint(self) -> str:
        return f"https://{self.host.address}:{ETCD_PORT}"

    @property
    def pki(self) -> Path:
        return self.paths.host(self.host.name).pki

    def tls(self, name: str) -> Tls:
        """The certificate of that name: `operator`, `agent`, `api`, `node`, …, or a reader's."""
        if name == "operator":
            return operator(self.paths)
        stem = {"node": "node/cert", "registry-client": "registry-client/client"}.get(name, name)
        suffix = ".cert" if name == "registry-client" else ".pem"
        key = self.pki / "node" / "key.pem" if name == "node" else self.pki / f"{stem}.key"
        return Tls(ca=self.pki / "ca.pem", cert=self.pki / f"{stem}{suffix}", key=key)


@contextmanager
def member(directory: Path, *, quota_bytes: int | None = None) -> Iterator[Member]:
    """Run it, in `directory`, on an address of its own; it ends with the block, or with us."""
    host = Host(name="worker-1", role=Role.WORKER, address=f"{free_subnet()}.101", control=True)
    made = Member(paths=ClusterPaths(name="demo", state=directory / "demo", run=directory / "run"), host=host)
    pki.ensure_host(made.paths.host(host.name), host, pki.ensure_authorities(made.paths, "demo"))
    settings = json.loads(
        etcd_config(
            name=host.name,
            address=host.address,
            data=directory / "data",
            pki=made.pki,
            members={host.name: f"https://{host.address}:{PEER_PORT}"},
            peers=True,
        )
    )
    if quota_bytes is not None:
        settings["quota-backend-bytes"] = quota_bytes
    replace_file(directory / "etcd.yml", json.dumps(settings))
    command = ["setpriv", "--pdeathsig", "KILL", "etcd", f"--config-file={directory}/etcd.yml"]
    with (directory / "etcd.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            eventually(lambda: _answers(made), within_s=60, what="etcd answers")
            yield made
        finally:
            process.kill()


def _answers(made: Member) -> bool:
    """It listens before it can say anything: first it has to elect itself."""

    async def ask() -> None:
        async with connect([made.endpoint], tls=made.tls("operator"), timeout_s=2) as store:
            await store.get("/a")

    with socket.socket() as probe:
        if probe.connect_ex((made.host.address, ETCD_PORT)) != 0:
            return False
    try:
        asyncio.run(ask())
    except Unavailable as error:
        raise AssertionError(str(error)) from error
    return True
