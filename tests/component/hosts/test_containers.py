"""A host's containers share its fate: power cuts, halts and destroy, with a real engine. In the order of the tests."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

import pytest

from inaetics.hosts.engines import engine_of
from inaetics.hosts.paths import HostPaths
from inaetics.units.container import ContainerEngine
from tests.component.containers.tiny import containers, import_tiny
from tests.component.hosts.conftest import nothing_left
from tests.support.cluster import Cluster, mounts_below, processes_of
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(120)

UNIT = """\
[Unit]
Description=A page on a published port

[Container]
Image=localhost/tiny:latest
ContainerName=page
PublishPort=8085:8000
Exec=/bin/httpd -f -p 8000 -h /bin

[Service]
Restart=always
"""


def _engine(cluster: Cluster) -> ContainerEngine:
    state = cluster.home / cluster.name / "hosts" / "worker-1"
    engine = engine_of(HostPaths(name="worker-1", state=state, run=Path("/run/inaetics", cluster.name, "worker-1")))
    assert engine is not None
    return engine


def _serves(cluster: Cluster) -> bool:
    with urllib.request.urlopen(f"http://{cluster.subnet}.101:8085/busybox", timeout=2) as answer:
        return bool(answer.status == 200)


def _network_namespaces() -> set[str]:
    return set(subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split())


BEFORE = _network_namespaces()


def test_a_container_unit_is_reached_at_its_hosts_address(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("inaetics", "up", "--workers", "1", "--subnet", cluster.subnet)
    import_tiny(_engine(cluster), "localhost/tiny:latest", "sleep 600")
    (tmp_path / "page.container").write_text(UNIT)
    cluster.run("fleetctl", "start", str(tmp_path / "page.container"))
    assert eventually(lambda: _serves(cluster), within_s=20, what="the page answers")


def test_a_power_cut_takes_containers_with_it(cluster: Cluster) -> None:
    cluster.run("inaetics", "ssh", "worker-1", "--", "podman", "run", "-d", "--name", "mine", "localhost/tiny")
    assert sorted(containers(_engine(cluster))) == ["mine", "page"]
    cluster.run("inaetics", "kill", "worker-1")
    assert [line for line in processes_of(cluster.home) if "worker-1" in line] == []
    with pytest.raises(OSError, match=r"refused|timed out"):
        _serves(cluster)


def test_after_the_power_cut_the_container_runs_again(cluster: Cluster) -> None:
    cluster.run("inaetics", "up")
    eventually(lambda: _serves(cluster), within_s=60, what="the page answers again")
    assert containers(_engine(cluster)) == ["page"]


def test_a_halt_ends_containers_started_by_hand(cluster: Cluster) -> None:
    cluster.run("inaetics", "ssh", "worker-1", "--", "podman", "run", "-d", "--name", "mine", "localhost/tiny")
    cluster.run("inaetics", "halt")
    assert processes_of(cluster.home) == []
    cluster.run("inaetics", "up")
    eventually(lambda: _serves(cluster), within_s=60, what="the page answers again")
    assert containers(_engine(cluster)) == ["page"]


def test_destroy_leaves_no_container_mount_or_network(cluster: Cluster) -> None:
    assert mounts_below(cluster.home)
    cluster.run("inaetics", "destroy")
    nothing_left(cluster)
    assert _network_namespaces() <= BEFORE
