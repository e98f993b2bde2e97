"""A whole cluster as a stranger, a thief of one host and a careful operator see it. In the order of the tests."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.pki import expires
from inaetics.hosts.ports import Listener, listeners
from inaetics.hosts.processes import Process, of_hosts, processes
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.files import below

pytestmark = pytest.mark.timeout(180)

UNIT = "[Service]\nExecStart=/bin/sleep 86400\n"


def _paths(cluster: Cluster) -> ClusterPaths:
    return ClusterPaths(name=cluster.name, state=cluster.home / cluster.name, run=Path("/run/inaetics", cluster.name))


def _processes(cluster: Cluster) -> list[Process]:
    paths = _paths(cluster)
    return of_hosts([paths.host(path.name) for path in paths.hosts.iterdir()], processes())


def _sockets(pid: int) -> Iterator[int]:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return  # it has ended
    for descriptor in descriptors:
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _listening(cluster: Cluster) -> list[Listener]:
    mine = {inode for process in _processes(cluster) for inode in _sockets(process.pid)}
    return [each for each in listeners() if each.inode in mine]


def _pids(cluster: Cluster) -> set[int]:
    """The processes of the fleet's units."""
    return {each.pid for each in _processes(cluster) if "sleep 86400" in each.command}


def _active(cluster: Cluster) -> set[str]:
    return set(cluster.where())


def _answers(cluster: Cluster) -> bool:
    """The fleet takes orders and carries them out: store, API, engine and agent, each with its certificate."""
    listed = cluster.run("fleetctl", "list-machines", "--no-legend").splitlines()
    assert len(listed) == 3, listed
    cluster.run("fleetctl", "start", str(cluster.home / "probe.service"))
    assert "probe.service" in _active(cluster)
    cluster.run("fleetctl", "destroy", "probe.service")
    return True


@pytest.fixture(scope="module", autouse=True)
def units(cluster: Cluster) -> Iterator[None]:
    for name in ("one", "two", "probe"):
        (cluster.home / f"{name}.service").write_text(UNIT)
    yield
    for name in ("one", "two", "probe", "late"):
        (cluster.home / f"{name}.service").unlink(missing_ok=True)
    for path in cluster.home.glob("*.db"):
        path.unlink()


def test_nothing_listens_beyond_the_clusters_own_addresses(cluster: Cluster) -> None:
    cluster.run("inaetics", "up", "--workers", "3", "--subnet", cluster.subnet)
    cluster.run("fleetctl", "start", str(cluster.home / "one.service"), str(cluster.home / "two.service"))
    found = _listening(cluster)
    assert {each.port for each in found} >= {2379, 2380, 5000, 49153, 49154}
    assert [each for each in found if not each.address.startswith(f"{cluster.subnet}.")] == []


def test_every_port_refuses_who_has_no_certificate(cluster: Cluster) -> None:
    context = ssl.create_default_context(cafile=str(_paths(cluster).pki / "ca.pem"))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for each in _listening(cluster):
        for secure in (True, False):
            assert b"200" not in _ask(each, context if secure else None), each


def _ask(listener: Listener, context: ssl.SSLContext | None) -> bytes:
    """What comes of a request: nothing, an alert, or whatever was answered."""
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(socket.create_connection((listener.address, listener.port), timeout=5))
            carrier = stack.enter_context(context.wrap_socket(stream)) if context else stream
            carrier.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return carrier.recv(100)
    except OSError:
        return b""


def test_keys_are_their_owners_only_and_secrets_are_in_no_command_line_or_journal(cluster: Cluster) -> None:
    state = _paths(cluster).state
    open_to_others = [
        path
        for path in (state, *below(state))
        if not path.is_symlink()
        and (path.suffix in {".key", ".secret", ".env"} or path.name in {"pki", "key.pem", state.name})
        and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []
    keys = [path.read_text().split("\n")[1] for path in below(state) if path.suffix == ".key"]
    secrets = [*keys, (state / "hosts" / "bootstrap" / "registry.secret").read_text()]
    assert len(secrets) > 10
    told = "\n".join(each.command for each in _processes(cluster))
    told += "".join(path.read_text(errors="replace") for path in state.glob("hosts/*/supervisor/journal/*/*"))
    assert [secret for secret in secrets if secret in told] == []


def test_who_takes_over_a_host_cannot_command_the_others(cluster: Cluster) -> None:
    pki = _paths(cluster).host("worker-2").pki
    stolen = [
        "--ca-file",
        str(pki / "ca.pem"),
        "--cert-file",
        str(pki / "agent.pem"),
        "--key-file",
        str(pki / "agent.key"),
    ]
    for words in (["destroy", "one.service"], ["stop", "one.service"]):
        done = cluster.attempt("fleetctl", "--endpoint", f"https://{cluster.subnet}.101", *stolen, *words)
        assert (done.returncode, "may only read" in done.stderr) == (6, True), done.stderr
    line = f"ETCDCTL_CERT={pki}/agent.pem ETCDCTL_KEY={pki}/agent.key etcdctl del --prefix /_coreos.com/fleet/"
    done = cluster.attempt("inaetics", "ssh", "worker-2", line)
    assert "permission denied" in done.stderr
    assert {"one.service", "two.service"} <= _active(cluster)


def test_renewing_all_stops_nothing(cluster: Cluster) -> None:
    before, agent = _pids(cluster), _paths(cluster).host("worker-2").pki / "agent.pem"
    old = agent.read_bytes()
    cluster.run("inaetics", "certificates", "renew", "--all")
    assert agent.read_bytes() != old
    assert _answers(cluster)
    assert _pids(cluster) == before != set()


def test_certificates_that_end_while_everything_runs_are_renewed(cluster: Cluster) -> None:
    """What is connected stays so beyond the certificates' end; what connects anew is refused until they are renewed."""
    before, operator = _pids(cluster), _paths(cluster).pki / "operator.pem"
    _make_all_end_in(cluster, 20)
    assert "ends in 0 days" in cluster.status()["certificates"]
    eventually(lambda: expires(operator) < datetime.datetime.now(datetime.UTC), within_s=40, what="they have ended")
    assert cluster.attempt("inaetics", "etcd", "status").returncode == 3
    assert len(cluster.run("fleetctl", "list-machines", "--no-legend").splitlines()) == 3
    assert "ends already" in cluster.status()["certificates"]
    cluster.run("inaetics", "certificates", "renew")
    assert "certificates" not in cluster.status()
    cluster.run("inaetics", "etcd", "status")
    eventually(lambda: _answers(cluster), within_s=60, what="the fleet takes orders")
    assert _pids(cluster) == before


def _make_all_end_in(cluster: Cluster, seconds: float) -> None:
    os.environ["INAETICS_CERTIFICATE_DAYS"] = f"{seconds / 86400:.9f}"
    try:
        cluster.run("inaetics", "certificates", "renew", "--all")
    finally:
        del os.environ["INAETICS_CERTIFICATE_DAYS"]


def test_up_renews_what_ended_while_the_cluster_was_off(cluster: Cluster) -> None:
    cluster.run("inaetics", "halt")
    _make_all_end_in(cluster, 0.001)
    cluster.run("inaetics", "up")
    assert "certificates" not in cluster.status()
    eventually(lambda: _answers(cluster), within_s=60, what="the fleet takes orders again")


def test_authorities_are_replaced_while_everything_runs(cluster: Cluster) -> None:
    before, place = _pids(cluster), _paths(cluster).pki
    old = (place / "ca.pem").read_text()
    cluster.run("inaetics", "certificates", "renew", "--authorities")
    assert old not in (place / "ca.pem").read_text()
    assert not list(place.glob("*.next.key"))
    eventually(lambda: _answers(cluster), within_s=60, what="the fleet takes orders again")
    assert _pids(cluster) == before != set()
    assert _refused_as_stranger(cluster, old)


def _refused_as_stranger(cluster: Cluster, ca: str) -> bool:
    """Whether who believes the authority of before alone no longer believes the API."""
    context = ssl.create_default_context(cadata=ca)
    address = f"{cluster.subnet}.101"
    with socket.create_connection((address, 49153), timeout=5) as stream:
        try:
            context.wrap_socket(stream, server_hostname=address).close()
        except ssl.SSLCertVerificationError:
            return True
    return False


def test_a_lost_member_is_replaced_while_units_run(cluster: Cluster) -> None:
    before = _pids(cluster)
    etcd = [each for each in _processes(cluster) if "worker-3/etcd.yml" in each.command]
    assert len(etcd) == 1
    cluster.run("inaetics", "etcd", "replace", "worker-3", "--yes")
    said = cluster.run("inaetics", "etcd", "status")
    assert (said.count("follower"), said.count("leader")) == (2, 1), said
    assert _pids(cluster) == before
    assert _answers(cluster)


def test_no_member_is_replaced_where_a_majority_would_be_lost(cluster: Cluster) -> None:
    cluster.run("inaetics", "kill", "worker-3")
    done = cluster.attempt("inaetics", "etcd", "replace", "worker-2", "--yes")
    assert (done.returncode, "worker-3 must answer too" in done.stderr) == (5, True), done.stderr
    cluster.run("inaetics", "up", "worker-3")
    done = cluster.attempt("inaetics", "etcd", "replace", "bootstrap", "--yes")
    assert (done.returncode, "holds no member" in done.stderr) == (2, True), done.stderr


def test_a_restored_snapshot_brings_back_the_units_of_then(cluster: Cluster) -> None:
    file = cluster.home / "then.db"
    cluster.run("inaetics", "etcd", "snapshot", str(file))
    (cluster.home / "late.service").write_text(UNIT)
    cluster.run("fleetctl", "destroy", "one.service")
    cluster.run("fleetctl", "start", str(cluster.home / "late.service"))
    assert {"two.service", "late.service"} <= _active(cluster)
    cluster.run("inaetics", "etcd", "restore", str(file), "--yes")

    def as_then() -> bool:
        active = _active(cluster)
        assert active == {"one.service", "two.service"}, active
        assert len(_pids(cluster)) == 2
        return True

    eventually(as_then, within_s=60, what="units are as in the snapshot")
    assert _answers(cluster)
