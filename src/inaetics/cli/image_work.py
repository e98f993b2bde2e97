"""The images of one cluster: built in its bootstrap host's store, pushed to its registry. Commands and the demo use it.

The only place where a cluster's hosts, the bundles that an image carries and the room that builds images meet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inaetics import resources
from inaetics.bundles.archive import pack
from inaetics.bundles.manifest import MANIFEST
from inaetics.containers.images import Built, Progress, Sources, build, check_names
from inaetics.containers.push import Pushed, push
from inaetics.containers.registry import Registry
from inaetics.errors import NotFound
from inaetics.hosts.cluster import load
from inaetics.hosts.engines import engine_of
from inaetics.hosts.paths import HostPaths, cluster_paths
from inaetics.units.container import ContainerEngine

BUILDER = "bootstrap"
"""The host whose store images are built in: `podman build` by hand, in `inaetics ssh bootstrap`, sees the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What building and pushing need of a cluster."""

    engine: ContainerEngine
    registry: str
    certificates: Path

    def connect(self) -> Registry:
        """A connection to the cluster's registry, for a `with` block."""
        return Registry(self.registry, self.certificates)


def workshop(cluster: str) -> Workshop:
    """Where the images of `cluster` are built; raises `NotFound` when there is no such cluster or no engine."""
    paths = cluster_paths(cluster)
    registry = load(paths).registry
    host: HostPaths = paths.host(BUILDER)
    engine = engine_of(host)
    if engine is None:
        raise NotFound(f"no container engine is known on {BUILDER} (inaetics up finds one; inaetics doctor tells more)")
    return Workshop(engine=engine, registry=registry, certificates=host.pki / "registry-client")


def build_images(
    shop: Workshop, names: Sequence[str] = (), *, refresh: bool = False, progress: Progress = lambda step: None
) -> list[Built]:
    """Build the images named, or all, as far as something changed."""
    with _bundles() as bundles:
        sources = Sources(
            images=resources.images_directory(),
            package=resources.package_directory(),
            lock=resources.node_lock(),
            extra={"provisioning": {"bundles": bundles}},
        )
        return build(shop.engine, sources, names, refresh=refresh, progress=progress)


def push_images(shop: Workshop, names: Sequence[str] = (), *, progress: Progress = lambda step: None) -> list[Pushed]:
    """Push the images named, or all; those that the registry has already are left alone."""
    pushed = []
    with shop.connect() as registry:
        registry.ping()
        for name in check_names(names, resources.images_directory()):
            progress(name)
            pushed.append(push(shop.engine, registry, name))
    return pushed


@contextmanager
def _bundles() -> Iterator[Path]:
    """A directory with an archive of every bundle of the demonstrator."""
    with tempfile.TemporaryDirectory(prefix="inaetics-bundles-") as place:
        for manifest in sorted((resources.package_directory() / "demonstrator/bundles").glob(f"*/{MANIFEST}")):
            pack(manifest.parent, Path(place))
        yield Path(place)
