"""The store of a `FaultCluster`, asked by its operator: etcdctl, run beside all hosts."""

from __future__ import annotations

import json
import os
import subprocess

from inaetics.fleet import keys
from inaetics.hosts.cluster import Cluster
from inaetics.hosts.paths import ClusterPaths
from tests.fault.network import Network
from tests.support.eventually import eventually


class FaultStore:
    """Members of etcd on the control hosts of `cluster`."""

    def __init__(self, network: Network, paths: ClusterPaths, cluster: Cluster) -> None:
        self._network = network
        self._paths = paths
        self._cluster = cluster

    def etcdctl(self, *words: str, host: str | None = None, stdin: bytes = b"") -> str:
        """Run etcdctl beside all hosts; with `host` on that member only."""
        done = self.try_etcdctl(*words, host=host, stdin=stdin)
        assert done.returncode == 0, f"etcdctl {' '.join(words)}: {done.stderr.decode()}"
        return done.stdout.decode()

    def try_etcdctl(
        self, *words: str, host: str | None = None, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        pki = self._paths.pki
        endpoints = self._cluster.etcd_endpoints if host is None else (self.endpoint(host),)
        environment = {
            **os.environ,
            "ETCDCTL_API": "3",
            "ETCDCTL_ENDPOINTS": ",".join(endpoints),
            "ETCDCTL_CACERT": str(pki / "ca.pem"),
            "ETCDCTL_CERT": str(pki / "operator.pem"),
            "ETCDCTL_KEY": str(pki / "operator.key"),
        }
        command = [*self._network.enter(), "etcdctl", *words]
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, timeout=30, check=False)

    def endpoint(self, host: str) -> str:
        return self._cluster.etcd_endpoints[self._cluster.control.index(host)]

    def etcd_leader(self) -> str:
        """The host whose etcd leads."""
        for name in self._cluster.control:
            (row,) = json.loads(self.etcdctl("endpoint", "status", "--write-out", "json", host=name))
            if row["Status"]["leader"] == row["Status"]["header"]["member_id"]:
                return name
        raise AssertionError("no member of etcd leads")

    def let_lead(self, host: str) -> None:
        """Have the etcd of `host` lead."""
        leader = self.etcd_leader()
        if leader == host:
            return
        (row,) = json.loads(self.etcdctl("endpoint", "status", "--write-out", "json", host=host))
        self.etcdctl("move-leader", f"{row['Status']['header']['member_id']:x}", host=leader)
        eventually(lambda: self.etcd_leader() == host, within_s=30, what=f"etcd on {host} leads")

    def keys(self) -> list[str]:
        """Every key of the fleet, the engine's office apart."""
        listed = self.etcdctl("get", "--prefix", "--keys-only", keys.PREFIX).split()
        return [key for key in listed if not key.startswith(f"{keys.ELECTION}/")]

    def revision(self) -> int:
        return int(json.loads(self.etcdctl("get", "absent", "--write-out", "json"))["header"]["revision"])

    def put(self, key: str) -> None:
        """Put `key` through the first member that takes it; twice does no harm.

        A member whose link has just come back may lose what it hands on to the leader, and etcdctl asks no other one.
        """

        def done() -> bool:
            refusals = []
            for host in self._cluster.control:
                tried = self.try_etcdctl("put", key, "", "--command-timeout=2s", host=host)
                if tried.returncode == 0:
                    return True
                refusals.append(f"{host}: {tried.stderr.decode()}")
            raise AssertionError("; ".join(refusals))

        eventually(done, within_s=30, what=f"the store has taken {key!r}")
