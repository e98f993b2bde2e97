"""Images outlive the bootstrap host and most registries; clusters without one. In the order of the tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from inaetics.hosts import rolling
from inaetics.hosts.engines import engine_of
from inaetics.hosts.paths import HostPaths
from inaetics.hosts.system_units import GATE, REGISTRY
from inaetics.units.container import ContainerEngine
from tests.component.containers.tiny import import_tiny, podman
from tests.component.hosts.conftest import nothing_left
from tests.support.cluster import Cluster
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

UNIT = """\
[Container]
Image=${INAETICS_REGISTRY}/inaetics/tiny:latest
Network=host

[Service]
RestartSec=0.5
Restart=on-failure
"""

RUNS = "trap 'exit 0' TERM; echo runs; sleep 1000 & wait"


def _paths(cluster: Cluster, host: str) -> HostPaths:
    state = cluster.home / cluster.name / "hosts" / host
    return HostPaths(name=host, state=state, run=Path("/run/inaetics", cluster.name, host))


def _engine(cluster: Cluster, host: str) -> ContainerEngine:
    engine = engine_of(_paths(cluster, host))
    assert engine is not None
    return engine


def _push(cluster: Cluster, host: str, registry: str) -> None:
    """Build a tiny image in the store of `host` and push it by hand."""
    engine, name = _engine(cluster, host), f"{registry}/inaetics/tiny:latest"
    import_tiny(engine, name, RUNS)
    podman(engine, "push", "--quiet", *engine.pull_flags, name)


def _equal(cluster: Cluster, count: int) -> bool:
    """Whether all registries hold the image."""
    found = json.loads(cluster.run("inaetics", "image", "registries", "--output", "json"))
    return len(found) == count and all((each["tags"], each["missing"]) == (1, 0) for each in found)


def _has_image(cluster: Cluster, host: str) -> bool:
    return "inaetics/tiny" in podman(_engine(cluster, host), "images")


def _runs_on(cluster: Cluster, unit: str = "web.service") -> str:
    return eventually(lambda: cluster.where().get(unit), within_s=60, what=f"{unit} is active") or ""


def _moved_to(cluster: Cluster, hosts: set[str]) -> str:
    def there() -> str | None:
        host = cluster.where().get("web.service")
        return host if host in hosts else None

    return eventually(there, within_s=60, what=f"web.service is active on one of {sorted(hosts)}") or ""


def test_a_push_by_hand_is_on_every_registry_and_runs(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("inaetics", "up", "--workers", "3", "--subnet", cluster.subnet)
    _push(cluster, "bootstrap", f"{cluster.subnet}.2:5000")
    eventually(lambda: _equal(cluster, 4), within_s=60, what="four registries hold the image")
    (tmp_path / "web.container").write_text(UNIT)
    cluster.run("fleetctl", "start", str(tmp_path / "web.container"))
    assert _runs_on(cluster)


def test_a_worker_may_not_push_and_podman_says_why(cluster: Cluster) -> None:
    engine, name = _engine(cluster, "worker-2"), f"{cluster.subnet}.103:5000/inaetics/other:latest"
    import_tiny(engine, name, RUNS)
    told = podman(engine, "push", "--quiet", *engine.pull_flags, name, status=125)
    assert told == ""
    done = cluster.attempt("inaetics", "ssh", "worker-2", "--", "podman", "push", name)
    assert "denied: certificate 'registry-client-worker-2' may pull from this registry and not push" in done.stderr


def test_without_bootstrap_and_two_of_three_registries_units_restart_and_move(cluster: Cluster) -> None:
    origin = _runs_on(cluster)
    others = {f"worker-{number}" for number in (1, 2, 3)} - {origin}
    cluster.run("inaetics", "kill", "bootstrap")
    for host in others:
        for unit in (GATE, REGISTRY):
            asyncio.run(rolling.stop(_paths(cluster, host), unit))
    cluster.run("fleetctl", "restart", "web")
    assert _runs_on(cluster) == origin
    assert not any(_has_image(cluster, host) for host in others)
    cluster.run("fleetctl", "drain", origin)
    target = _moved_to(cluster, others)
    assert _has_image(cluster, target)


def test_a_worker_joins_while_the_bootstrap_is_dead_and_runs_the_image(cluster: Cluster) -> None:
    for number in (1, 2, 3):
        for unit in (REGISTRY, GATE):
            asyncio.run(rolling.start(_paths(cluster, f"worker-{number}"), unit))
    cluster.run("inaetics", "up", "--no-bootstrap", "--workers", "4")
    states = {host["name"]: host["state"] for host in cluster.status()["hosts"]}
    assert (states["bootstrap"], states["worker-4"]) == ("halted", "running")
    here = _runs_on(cluster)
    for host in {"worker-1", "worker-2", "worker-3"} - {here}:
        cluster.run("fleetctl", "cordon", host)
    cluster.run("fleetctl", "drain", here)
    assert _moved_to(cluster, {"worker-4"}) == "worker-4"


def test_images_are_pushed_to_any_registry_while_the_bootstrap_is_dead(cluster: Cluster) -> None:
    podman(
        _engine(cluster, "bootstrap"), "tag", f"{cluster.subnet}.2:5000/inaetics/tiny:latest", "localhost/inaetics/t"
    )
    pushed = json.loads(cluster.run("inaetics", "image", "push", "t", "--output", "json"))
    assert [each["name"] for each in pushed] == [f"{cluster.subnet}.2:5000/inaetics/t:latest"]
    assert "inaetics/t:latest" in cluster.run("inaetics", "image", "list")


def test_a_bootstrap_that_comes_back_catches_up(cluster: Cluster) -> None:
    cluster.run("inaetics", "up")
    found = eventually(
        lambda: [
            each
            for each in json.loads(cluster.run("inaetics", "image", "registries", "--output", "json"))
            if each["host"] == "bootstrap" and each["tags"] == 2
        ],
        within_s=60,
        what="the bootstrap's registry has both images",
    )
    assert found[0]["missing"] == 0
    cluster.run("inaetics", "destroy")
    nothing_left(cluster)


def test_a_cluster_without_a_bootstrap_host_forms_builds_runs_and_grows(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("inaetics", "up", "--no-bootstrap", "--workers", "1", "--subnet", cluster.subnet)
    assert [host["name"] for host in cluster.status()["hosts"]] == ["worker-1"]
    _push(cluster, "worker-1", f"{cluster.subnet}.101:5000")
    (tmp_path / "web.container").write_text(UNIT)
    cluster.run("fleetctl", "start", str(tmp_path / "web.container"))
    assert _runs_on(cluster) == "worker-1"
    cluster.run("inaetics", "up", "--workers", "2")
    cluster.run("inaetics", "restart")
    assert {host["name"]: host["state"] for host in cluster.status()["hosts"]} == {
        "worker-1": "running",
        "worker-2": "running",
    }
    assert _runs_on(cluster) == "worker-1"
    done = cluster.attempt("inaetics", "purge-discovery")
    assert (done.returncode, "has no bootstrap host" in done.stderr) == (5, True)
