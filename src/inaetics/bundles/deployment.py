"""What one target shall run. Pure.

A deployment's `version` names its content: ``<counter>-<hash>``. The hash is of the bundles alone; the counter is the
version of the mapping, so people see which is newer. A server keeps nothing, and any other server with the same bundles
gives the same versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as Map

import msgspec

from inaetics.bundles.archive import Archive
from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.bundles.mapping import Mapping


def deployment_for(
    target: str, mapping: Mapping, archives: Map[tuple[str, str], Archive], *, counter: int
) -> Deployment:
    """The deployment of `target`. `archives` holds every bundle of the mapping by name and version."""
    bundles = tuple(_deployed(archives[manifest.name, manifest.version]) for manifest in mapping.bundles_for(target))
    digest = hashlib.sha256(msgspec.json.encode([(b.name, b.version, b.sha256) for b in bundles])).hexdigest()
    return Deployment(version=f"{counter}-{digest[:12]}", bundles=bundles)


def _deployed(archive: Archive) -> DeployedBundle:
    name, version = archive.manifest.name, archive.manifest.version
    return DeployedBundle(
        name=name, version=version, sha256=archive.sha256, url=f"/bundles/{name}/{version}", size=archive.size
    )
