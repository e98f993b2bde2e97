"""A host's containers share its fate: power cuts, halts and destroy, with a real engine. In the order of the tests."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from inaetics.hosts.engines import engine_of
from inaetics.hosts.paths import HostPaths
from inaetics.units.container import ContainerEngine
from tests.component.containers.tiny import containers, import_tiny, podman
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


FOLLOWS = """\
[Container]
Image=${INAETICS_REGISTRY}/inaetics/tiny:latest
Network=host

[Service]
RestartSec=0.5
Restart=on-failure

[X-Fleet]
HealthyAfterSec=3
"""


def _engine(cluster: Cluster, host: str = "worker-1") -> ContainerEngine:
    state = cluster.home / cluster.name / "hosts" / host
    engine = engine_of(HostPaths(name=host, state=state, run=Path("/run/inaetics", cluster.name, host)))
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


def _push(cluster: Cluster, script: str) -> None:
    """Make the tag of `FOLLOWS` mean another image: a shell with `script`."""
    engine, name = _engine(cluster, "bootstrap"), f"{cluster.subnet}.2:5000/inaetics/tiny:latest"
    import_tiny(engine, name, script)
    podman(engine, "push", "--quiet", *engine.pull_flags, name)


def _digests(cluster: Cluster) -> dict[str, str]:
    """Unit → the digest that its machine says it runs."""
    units = json.loads(cluster.run("fleetctl", "list-units", "--output", "json", "web@*"))
    return {unit["name"]: unit["image"] for unit in units if unit["active"] == "active"}


RUNS = "trap 'exit 0' TERM; echo {}; sleep 1000 & wait"


def test_a_unit_keeps_its_image_when_its_tag_moves(cluster: Cluster, tmp_path: Path) -> None:
    _push(cluster, RUNS.format("one"))
    (tmp_path / "web@.container").write_text(FOLLOWS)
    cluster.run("fleetctl", "start", f"{tmp_path}/web@1", f"{tmp_path}/web@2")
    before = _digests(cluster)
    assert len(set(before.values())) == 1
    assert len(before) == 2
    _push(cluster, "echo broken; exit 7")
    cluster.run("fleetctl", "restart", "web@2")
    assert _digests(cluster) == before
    assert FOLLOWS in cluster.run("fleetctl", "cat", "web@1")


def test_a_broken_image_rolls_back_by_itself(cluster: Cluster) -> None:
    before = _digests(cluster)
    plan = cluster.run("inaetics", "image", "update", "--plan")
    rows = [line.split()[:3] for line in plan.splitlines() if "web@" in line]
    assert rows == [["1", "web@1.service", "worker-1"], ["2", "web@2.service", "worker-1"]]
    done = cluster.attempt("inaetics", "image", "update", "tiny")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "web@1.service is not well on the new image" in done.stdout
    assert "exited with status 7" in done.stdout
    eventually(lambda: _digests(cluster) == before, within_s=20, what="both run the image before")
    assert "undone" in cluster.run("fleetctl", "rollouts", "--unit", "web@1")


def test_a_good_image_is_taken_and_told(cluster: Cluster) -> None:
    before = _digests(cluster)
    _push(cluster, RUNS.format("three"))
    done = cluster.run("inaetics", "image", "update", "--at-once", "2")
    assert "web@2.service done: active, healthy after 3 s" in done
    after = _digests(cluster)
    assert len(set(after.values())) == 1
    assert not set(after.values()) & set(before.values())
    assert "three" in cluster.run("fleetctl", "journal", "web@1")
    cluster.run("fleetctl", "destroy", "web@1", "web@2")


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
    eventually(lambda: _network_namespaces() <= BEFORE, within_s=60, what="no namespace is left; other tests' go too")
