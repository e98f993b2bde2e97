"""`kill`: a power cut. Imports little, because what is to die at once should not live on while Python loads."""

from __future__ import annotations

from collections.abc import Sequence

from inaetics.hosts.cluster import load
from inaetics.hosts.lock import locked
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.processes import power_cut


def kill(paths: ClusterPaths, names: Sequence[str]) -> int:
    """Cut the power of the named hosts: everything on them dies at once; returns how many processes that were."""
    cluster = load(paths)
    hosts = [paths.host(cluster.host(name).name) for name in names]
    with locked(paths, "kill"):
        return power_cut(hosts)
