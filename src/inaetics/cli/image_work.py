"""The images of one cluster: built in one host's store, pushed to its registries. Commands and the demo use it.

The only place where a cluster's hosts and the room that builds images meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from inaetics import resources
from inaetics.containers.builder import build, build_own
from inaetics.containers.images import (
    Built,
    Progress,
    Sources,
    check_names,
    identity,
    image_names,
    local_reference,
    usual_names,
)
from inaetics.containers.push import Pushed, push
from inaetics.containers.registries import first_that_answers, wait_copied
from inaetics.containers.registry import Registry
from inaetics.errors import NotFound
from inaetics.hosts.cluster import load
from inaetics.hosts.engines import engine_of
from inaetics.hosts.paths import HostPaths, cluster_paths
from inaetics.units.container import ContainerEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What building and pushing need of a cluster."""

    engine: ContainerEngine
    registries: tuple[str, ...]
    """The one that images are named after first."""
    certificates: Path

    @property
    def registry(self) -> str:
        """What images are named after."""
        return self.registries[0]

    def connect(self) -> Registry:
        """A connection to the first of the cluster's registries that answers, for a `with` block."""
        return Registry(first_that_answers(self.registries, self.certificates), self.certificates)


def workshop(cluster: str) -> Workshop:
    """Where the images of `cluster` are built; raises `NotFound` when there is no such cluster or no engine."""
    paths = cluster_paths(cluster)
    made = load(paths)
    # `podman build` by hand, in `inaetics ssh` on that host, sees the same store.
    host: HostPaths = paths.host(made.builder.name)
    engine = engine_of(host)
    if engine is None:
        raise NotFound(
            f"no container engine is known on {host.name} (inaetics up finds one; inaetics doctor tells more)"
        )
    return Workshop(engine=engine, registries=made.registries, certificates=host.pki / "registry-client")


def build_images(
    shop: Workshop,
    names: Sequence[str] = (),
    *,
    start: str | None = None,
    refresh: bool = False,
    progress: Progress = lambda step: None,
) -> list[Built]:
    """Build the images named, or all, as far as something changed; on `start` instead of our own `node`."""
    return build(shop.engine, _sources(), names, start=start, refresh=refresh, progress=progress)


def every_name() -> tuple[str, ...]:
    """All images of the system, also those that are built only when they are asked for."""
    return image_names(resources.images_directory())


def build_own_image(
    shop: Workshop, name: str, context: Path, *, start: str | None = None, progress: Progress = lambda step: None
) -> Built:
    """Build a folder with a Containerfile as image `name`."""
    return build_own(shop.engine, _sources(), name, context, start=start, progress=progress)


def push_images(shop: Workshop, names: Sequence[str] = (), *, progress: Progress = lambda step: None) -> list[Pushed]:
    """Push the images named, or all; those that the registry has already are left alone."""
    pushed = []
    with shop.connect() as registry:
        registry.ping()
        for name in _pushable(shop.engine, names):
            progress(name)
            pushed.append(push(shop.engine, registry, name, named_after=shop.registry))
    sent = [each for each in pushed if each.sent]
    if sent and len(shop.registries) > 1:
        progress("copies")
        wait_copied(shop.registries, shop.certificates, [(each.repository, each.digest) for each in sent])
    return pushed


def _pushable(engine: ContainerEngine, names: Sequence[str]) -> tuple[str, ...]:
    """The images meant: all of the system's, or those named, which may be anybody's own in the build store."""
    for name in names:
        if identity(engine, local_reference(name)) is None:
            check_names([name], resources.images_directory())
    return tuple(names) or usual_names(resources.images_directory())


def _sources() -> Sources:
    """What the system's images are made from."""
    return Sources(
        images=resources.images_directory(),
        package=resources.package_directory(),
        lock=resources.node_lock(),
        java=resources.java_directory(),
        version=version("inaetics-cluster"),
    )
