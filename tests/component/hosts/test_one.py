"""The smallest cluster, through its whole life: made, used, halted, killed, destroyed. In the order of the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inaetics.hosts.lock import locked
from inaetics.hosts.paths import ClusterPaths
from tests.component.hosts.conftest import nothing_left
from tests.support.cluster import Cluster, processes_of
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(120)


def _machine_id(cluster: Cluster) -> str:
    found = json.loads((cluster.home / cluster.name / "hosts" / "worker-1" / "host.json").read_text())["machine_id"]
    assert isinstance(found, str)
    return found


def _lasting(cluster: Cluster) -> set[str]:
    """The processes there are; what units run for a moment now and then is none of them."""
    first = set(processes_of(cluster.home))
    time.sleep(1)
    return first & set(processes_of(cluster.home))


def _states(cluster: Cluster) -> dict[str, str]:
    return {host["name"]: host["state"] for host in cluster.status()["hosts"]}


def test_what_does_not_exist_is_not_found(cluster: Cluster) -> None:
    for words in (["status"], ["halt"], ["destroy"], ["up", "worker-1"], ["ssh", "worker-1"], ["journal", "worker-1"]):
        done = cluster.attempt("inaetics", *words)
        assert (done.returncode, "error: there is no cluster" in done.stderr) == (4, True), (words, done.stderr)
    assert list(cluster.home.iterdir()) == []


def test_ctrl_c_leaves_nothing_running(cluster: Cluster) -> None:
    program = Path(sys.executable).with_name("inaetics")
    command = [str(program), "up", "--workers", "1", "--subnet", cluster.subnet]
    with subprocess.Popen(command, env=cluster.environment, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        eventually(lambda: any("supervisor" in each for each in processes_of(cluster.home)), within_s=60, what="a host")
        up.send_signal(signal.SIGINT)
        said = up.stderr.read()
    assert up.returncode == 130, said
    assert "interrupted: halting what was started" in said
    assert "Traceback" not in said
    assert processes_of(cluster.home) == []


def test_up_lists_the_worker(cluster: Cluster) -> None:
    cluster.run("inaetics", "up", "--workers", "1")
    status = json.loads(cluster.run("inaetics", "status", "--output", "json"))
    assert status == cluster.status(), "what tests ask is what the command prints"
    assert status["cluster"] == cluster.name
    assert [(host["name"], host["address"], host["state"]) for host in status["hosts"]] == [
        ("bootstrap", f"{cluster.subnet}.2", "running"),
        ("worker-1", f"{cluster.subnet}.101", "running"),
    ]
    assert (status["units"], status["web"]) == ([], None)
    assert Path(status["socket"]).is_socket()
    assert _machine_id(cluster)[:8] in cluster.run("fleetctl", "list-machines")


def test_up_again_changes_nothing(cluster: Cluster) -> None:
    before = _lasting(cluster)
    cluster.run("inaetics", "up")
    eventually(lambda: _lasting(cluster) == before, within_s=20, what="the same processes run")


def test_two_at_a_time_are_refused(cluster: Cluster) -> None:
    paths = ClusterPaths(name=cluster.name, state=cluster.home / cluster.name, run=Path("/run/inaetics", cluster.name))
    with locked(paths, "up"):
        for words in (["up"], ["halt"], ["kill", "worker-1"], ["destroy"]):
            done = cluster.attempt("inaetics", *words)
            assert (done.returncode, f"process {os.getpid()}:" in done.stderr) == (5, True), (words, done.stderr)
    assert set(_states(cluster).values()) == {"running"}


def test_a_command_in_a_host_has_its_environment_and_gives_its_exit_code(cluster: Cluster) -> None:
    assert cluster.run("inaetics", "ssh", "worker-1", "--", "etcdctl", "put", "/x", "y") == "OK\n"
    assert cluster.run("inaetics", "ssh", "worker-1", "echo $INAETICS_HOST | tr a-z A-Z") == "WORKER-1\n"
    assert cluster.run("inaetics", "ssh", "worker-1", "--", "fleetctl", "list-machines", "--no-legend").count("\n") == 1
    store = cluster.run("inaetics", "ssh", "bootstrap", "--", "podman", "info", "--format", "{{.Store.GraphRoot}}")
    assert store.strip() == str(cluster.home / cluster.name / "hosts/bootstrap/containers")
    assert cluster.attempt("inaetics", "ssh", "worker-1", "--", "sh", "-c", "exit 7").returncode == 7
    assert cluster.attempt("inaetics", "ssh", "worker-1", "--", "no-such-program", "x").returncode == 127


def test_the_registry_serves_everybody_of_the_cluster_and_nobody_else(cluster: Cluster) -> None:
    url = "https://$INAETICS_REGISTRY/v2/_catalog"
    pki = "--cacert $INAETICS_PKI/ca.pem --cert $INAETICS_PKI/agent.pem --key $INAETICS_PKI/agent.key"
    node = (
        pki.replace("ca.pem", "node/ca.pem").replace("agent.pem", "node/cert.pem").replace("agent.key", "node/key.pem")
    )
    for known in (pki, node):
        assert "repositories" in cluster.run("inaetics", "ssh", "worker-1", f"curl -sS {known} {url}")
        upload = f"{url.removesuffix('_catalog')}x/blobs/uploads/"
        refused = cluster.run("inaetics", "ssh", "worker-1", f"curl -sS -X POST {known} {upload}")
        assert "may pull from this registry and not push to it" in refused
    done = cluster.attempt("inaetics", "ssh", "worker-1", f"curl -sS --cacert $INAETICS_PKI/ca.pem {url}")
    assert done.returncode != 0, done.stdout


def test_a_journal_is_read_whether_the_host_is_on_or_off(cluster: Cluster) -> None:
    assert "started" in cluster.run("inaetics", "journal", "worker-1", "etcd", "-n", "50")
    cluster.run("inaetics", "halt")
    assert "stopped" in cluster.run("inaetics", "journal", "worker-1", "etcd.service", "-n", "50")
    assert "==> fleet-agent.service <==" in cluster.run("inaetics", "journal", "worker-1")
    done = cluster.attempt("inaetics", "journal", "worker-1", "nothing")
    assert (done.returncode, "etcd.service" in done.stderr) == (4, True)


def test_a_halted_cluster_runs_nothing_and_still_answers(cluster: Cluster) -> None:
    assert processes_of(cluster.home) == []
    status = cluster.status()
    assert {host["state"] for host in status["hosts"]} == {"halted"}
    assert (status["units"], status["web"], status["socket"]) == ([], None, None)
    assert status["message"] == "the cluster is halted"
    assert cluster.attempt("inaetics", "ssh", "worker-1", "--", "true").returncode == 3
    assert cluster.attempt("inaetics", "halt").returncode == 0


def test_a_halted_cluster_comes_back_as_it_was(cluster: Cluster) -> None:
    before = _machine_id(cluster)
    cluster.run("inaetics", "up")
    assert _machine_id(cluster) == before
    assert cluster.run("inaetics", "ssh", "worker-1", "--", "etcdctl", "get", "/x", "--print-value-only") == "y\n"


def test_a_power_cut_leaves_no_process_and_up_boots_again(cluster: Cluster) -> None:
    run = Path("/run/inaetics", cluster.name, "worker-1")
    (run / "leftover").touch()
    cluster.run("inaetics", "kill", "worker-1", "bootstrap")
    assert processes_of(cluster.home) == []
    assert _states(cluster) == {"bootstrap": "halted", "worker-1": "halted"}
    cluster.run("inaetics", "up")
    assert set(_states(cluster).values()) == {"running"}
    assert not (run / "leftover").exists()


def test_destroy_stops_before_what_is_not_the_clusters(cluster: Cluster) -> None:
    notes = cluster.home / cluster.name / "notes.txt"
    notes.write_text("mine")
    done = cluster.attempt("inaetics", "destroy")
    assert (done.returncode, "notes.txt" in done.stderr) == (5, True)
    assert set(_states(cluster).values()) == {"running"}
    notes.unlink()


def test_destroy_leaves_nothing(cluster: Cluster) -> None:
    cluster.run("inaetics", "destroy")
    nothing_left(cluster)
