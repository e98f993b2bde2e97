"""Real podman on stores of the tests' own, in temporary directories; nothing of them stays."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inaetics import resources
from inaetics.containers.builder import build
from inaetics.containers.engine import probe
from inaetics.containers.findings import Findings
from inaetics.containers.images import Built, Sources
from inaetics.containers.store import Store, prepare, remove
from inaetics.units.container import ContainerEngine
from tests.support.registry import RegistryServer, registry_server


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A store with its engine, as a host of a cluster has them."""

    store: Store
    engine: ContainerEngine


Hosts = Callable[..., Host]


@pytest.fixture(scope="session")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What works on this machine, probed once."""
    place = tmp_path_factory.mktemp("probe")
    return probe(place, cache=place)


@pytest.fixture(scope="module")
def module_hosts(findings: Findings) -> Iterator[Hosts]:
    """Make stores that live as long as the module's tests."""
    with hosts_made(findings) as make:
        yield make


@pytest.fixture
def hosts(findings: Findings) -> Iterator[Hosts]:
    """Make stores for one test: `hosts(registry)` or `hosts()`."""
    with hosts_made(findings) as make:
        yield make


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    """One registry for a module's tests; they do not stop it."""
    with registry_server() as server:
        yield server


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The real sources of the images, copied, so that nobody edits them while they are built."""
    place = tmp_path_factory.mktemp("sources")
    shutil.copyfile(resources.node_lock(), place / "node.lock")
    leave = shutil.ignore_patterns("__pycache__", "_shipped")
    shutil.copytree(resources.images_directory(), place / "images")
    shutil.copytree(resources.package_directory(), place / "inaetics", ignore=leave)
    return Sources(images=place / "images", package=place / "inaetics", lock=place / "node.lock")


@pytest.fixture(scope="module")
def builder(module_hosts: Hosts) -> Host:
    """The host that images are built on."""
    return module_hosts()


@pytest.fixture(scope="module")
def pusher(builder: Host, registry: RegistryServer) -> ContainerEngine:
    """The engine of that host, with the certificates of the registry."""
    return replace(builder.engine, pull_flags=("--cert-dir", str(registry.certificates)))


@pytest.fixture(scope="module")
def built(builder: Host, sources: Sources) -> list[Built]:
    """All images, built once a module; the base image and the packages come from the cache when they are there."""
    return build(builder.engine, sources)


@contextmanager
def hosts_made(findings: Findings) -> Iterator[Hosts]:
    """Hand out a maker of stores; nothing of them is left afterwards."""
    place = Path(tempfile.mkdtemp(prefix="inaetics-store-"))
    made: list[Host] = []

    def make(registry: RegistryServer | None = None) -> Host:
        name = f"h{len(made)}"
        store = Store(
            root=place / name / "containers",
            runroot=place / name / "run",
            settings=place / name / "settings",
            cgroup=f"/inaetics/{place.name}/{name}",
            registry=registry.address if registry else "",
            certificates=registry.certificates if registry else None,
        )
        made.append(Host(store=store, engine=prepare(store, findings)))
        return made[-1]

    try:
        yield make
    finally:
        for host in made:
            remove(host.store, host.engine)
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(place) in line]
        shutil.rmtree(place)
    assert not mounts, f"still mounted: {mounts}"
    # Others' groups go while this looks: os.walk passes over them.
    assert not [top for top, names, _ in os.walk("/sys/fs/cgroup") if top.endswith("/inaetics") and place.name in names]
