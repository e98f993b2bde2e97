"""What one target shall run, as the server says it and agents read it.

A deployment's `version` names its content: ``<counter>-<hash>``. The hash is of the bundles alone; the counter is the
revision of the mapping in etcd (0 for the one shipped), so people see which is newer. A server keeps nothing, and any
other server with the same bundles gives the same versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as Map
from typing import Annotated

import msgspec

from inaetics.bundles.archive import Archive
from inaetics.bundles.mapping import Mapping


class DeployedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is relative to the server the deployment came from. The other fields become a file's name at the agent."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}\Z")]
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){1,3}\Z")]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    url: str


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``GET /deployments/TARGET``; agents of other versions ignore what they do not know."""

    version: str
    bundles: tuple[DeployedBundle, ...] = ()

    @property
    def content(self) -> str:
        """The part of the version that names the bundles: two deployments with the same content are the same."""
        return self.version.rpartition("-")[2]


def deployment_for(
    target: str, mapping: Mapping, archives: Map[tuple[str, str], Archive], *, counter: int
) -> Deployment:
    """The deployment of `target`. `archives` holds every bundle of the mapping by name and version."""
    bundles = tuple(_deployed(archives[manifest.name, manifest.version]) for manifest in mapping.bundles_for(target))
    digest = hashlib.sha256(msgspec.json.encode([(b.name, b.version, b.sha256) for b in bundles])).hexdigest()
    return Deployment(version=f"{counter}-{digest[:12]}", bundles=bundles)


def _deployed(archive: Archive) -> DeployedBundle:
    name, version = archive.manifest.name, archive.manifest.version
    return DeployedBundle(name=name, version=version, sha256=archive.sha256, url=f"/bundles/{name}/{version}")
