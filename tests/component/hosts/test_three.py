"""Three members of the store, and hosts that come and go. In the order of the tests."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from inaetics.hosts.paths import HostPaths
from inaetics.hosts.processes import of_hosts, processes, supervisors
from tests.component.hosts.moments import members_begun, up_cut_short
from tests.support.cluster import Cluster, processes_of
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(120)


def _states(cluster: Cluster) -> dict[str, str]:
    return {host["name"]: host["state"] for host in cluster.status()["hosts"]}


def _all_running(cluster: Cluster) -> bool:
    states = _states(cluster)
    assert set(states.values()) == {"running"}, states
    return True


def _healthy_members(cluster: Cluster, host: str) -> int:
    said = cluster.run("inaetics", "ssh", host, "--", "etcdctl", "endpoint", "health", "-w", "json")
    return [each["health"] for each in json.loads(said)].count(True)


def _host(cluster: Cluster, name: str) -> HostPaths:
    run = Path("/run/inaetics", cluster.name, name)
    return HostPaths(name=name, state=cluster.home / cluster.name / "hosts" / name, run=run)


def _etcd(cluster: Cluster, host: str) -> set[int]:
    found = of_hosts([_host(cluster, host)], processes())
    return {each.pid for each in found if each.arguments[0].endswith("etcd")}


def _supervisor(cluster: Cluster, host: str, *, keeper: bool) -> list[int]:
    found = supervisors(_host(cluster, host), processes())
    return [each.pid for each in found if each.is_keeper == keeper]


@pytest.mark.timeout(240)
def test_three_workers_form_a_store_of_three_though_the_power_went_while_it_formed(cluster: Cluster) -> None:
    up_cut_short(cluster, members_begun)
    cluster.run("inaetics", "up", "--workers", "3", "--subnet", cluster.subnet)
    assert _all_running(cluster)
    assert _healthy_members(cluster, "worker-1") == 3
    assert len(cluster.run("fleetctl", "list-machines", "--no-legend").splitlines()) == 3


def test_a_supervisor_weighs_more_than_its_units_where_sessions_share_processors(cluster: Cluster) -> None:
    (supervisor,), (etcd,) = _supervisor(cluster, "worker-1", keeper=False), _etcd(cluster, "worker-1")
    groups = [Path(f"/proc/{pid}/autogroup") for pid in (supervisor, etcd)]
    if os.geteuid() != 0 or not all(group.exists() for group in groups):
        pytest.skip("this machine's processors are not shared by session, or by root alone")
    assert [group.read_text().split("nice")[1].strip() for group in groups] == ["-5", "0"]


def test_without_bootstrap_hosts_still_restart(cluster: Cluster) -> None:
    cluster.run("inaetics", "kill", "bootstrap")
    cluster.run("inaetics", "restart", "worker-1")
    cluster.run("inaetics", "kill", "worker-2")
    cluster.run("inaetics", "up", "worker-2")
    assert _states(cluster) == {"bootstrap": "halted"} | {f"worker-{n}": "running" for n in (1, 2, 3)}
    assert _healthy_members(cluster, "worker-3") == 3
    cluster.run("inaetics", "up", "bootstrap")
    assert _all_running(cluster)


def test_a_killed_supervisor_comes_back_and_its_units_never_went(cluster: Cluster) -> None:
    etcd, (supervisor,) = _etcd(cluster, "worker-1"), _supervisor(cluster, "worker-1", keeper=False)
    os.kill(supervisor, signal.SIGKILL)
    eventually(
        lambda: _supervisor(cluster, "worker-1", keeper=False) not in ([], [supervisor]) and _all_running(cluster),
        within_s=60,
        what="another supervisor is there",
    )
    assert _etcd(cluster, "worker-1") == etcd
    assert len(etcd) == 1


def test_up_adopts_what_lives_when_keeper_and_supervisor_are_dead(cluster: Cluster) -> None:
    etcd = _etcd(cluster, "worker-2")
    for keeper in (True, False):
        for pid in _supervisor(cluster, "worker-2", keeper=keeper):
            os.kill(pid, signal.SIGKILL)
    assert _states(cluster)["worker-2"] == "degraded"
    cluster.run("inaetics", "up")
    assert _all_running(cluster)
    assert _etcd(cluster, "worker-2") == etcd


def test_purge_discovery_harms_nobody(cluster: Cluster) -> None:
    cluster.run("inaetics", "purge-discovery")
    cluster.run("inaetics", "restart")
    assert _healthy_members(cluster, "worker-1") == 3


def test_a_worker_more_and_one_less(cluster: Cluster) -> None:
    cluster.run("inaetics", "up", "--workers", "4")
    assert _states(cluster)["worker-4"] == "running"
    done = cluster.attempt("inaetics", "up", "--workers", "3")
    assert (done.returncode, "--remove" in done.stderr) == (5, True)
    cluster.run("inaetics", "up", "--workers", "3", "--remove")
    assert "worker-4" not in _states(cluster)
    assert not (cluster.home / cluster.name / "hosts" / "worker-4").exists()
    assert of_hosts([_host(cluster, "worker-4")], processes()) == []


def test_an_address_in_use_is_named_with_its_holder_and_nothing_starts(cluster: Cluster) -> None:
    cluster.run("inaetics", "halt")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((f"{cluster.subnet}.102", 2379))
        taken.listen()
        done = cluster.attempt("inaetics", "up")
        assert done.returncode == 5
        assert f"{cluster.subnet}.102:2379 by process {os.getpid()} (" in done.stderr
    assert processes_of(cluster.home) == []


def test_hosts_start_one_by_one_in_any_order(cluster: Cluster) -> None:
    done = cluster.attempt("inaetics", "up", "worker-3")
    assert (done.returncode, "the store needs 2 of" in done.stderr) == (0, True)
    assert _states(cluster)["worker-3"] == "starting"
    cluster.run("inaetics", "up", "worker-1")
    eventually(lambda: _states(cluster)["worker-3"] == "running", within_s=60, what="two members are a majority")
    cluster.run("inaetics", "up")
    assert _all_running(cluster)
