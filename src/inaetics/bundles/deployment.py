"""What one target shall run. Pure.

A deployment's `version` names its content: ``<counter>-<hash>``. The hash is of the bundles alone; the counter is the
version of the mapping, so people see which is newer. A server keeps nothing, and any other server with the same bundles
gives the same versions.
"""

from __future__ import annotations

import hashlib

import msgspec

from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.bundles.given import given
from inaetics.bundles.records import Artifact, Version
from inaetics.bundles.repository import Repository


def deployment_for(target: str, version: Version, repository: Repository) -> Deployment:
    """The deployment of `target` by a version that has been resolved. Raises `NotFound` for what is not kept."""
    bundles = tuple(_deployed(repository.find(pinned)) for pinned in given(version, target))
    return Deployment(version=name_of(target, version), bundles=bundles, within_s=version.within_s)


def name_of(target: str, version: Version) -> str:
    """The `version` of that deployment."""
    bundles = [(pinned.name, pinned.version, pinned.sha256) for pinned in given(version, target)]
    return f"{version.version}-{hashlib.sha256(msgspec.json.encode(bundles)).hexdigest()[:12]}"


def content_of(version: str) -> str:
    """The part of a deployment's version that names its bundles; empty for what is no such version."""
    return version.rpartition("-")[2] if "-" in version else ""


def counter_of(version: str) -> int:
    """The version of the mapping a deployment came from; 0 for what is no such version."""
    counter = version.partition("-")[0]
    return int(counter) if counter.isascii() and counter.isdigit() and len(counter) < 19 else 0


def _deployed(artifact: Artifact) -> DeployedBundle:
    name, version = artifact.name, artifact.version
    return DeployedBundle(
        name=name,
        version=version,
        sha256=artifact.sha256,
        url=f"/bundles/{name}/{version}?sha256={artifact.sha256}",
        size=artifact.size,
        signature=artifact.signature,
    )
