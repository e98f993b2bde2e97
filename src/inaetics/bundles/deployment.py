"""What one target shall run. Pure.

A deployment's `version` names its content: ``<counter>-<hash>``. The hash is of the bundles alone; the counter is the
version of the mapping, so people see which is newer. A server keeps nothing, and any other server with the same bundles
gives the same versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as Map

import msgspec

from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.bundles.mapping import Mapping
from inaetics.bundles.records import Artifact

Artifacts = Map[tuple[str, str], Artifact]


def deployment_for(target: str, mapping: Mapping, artifacts: Artifacts, *, counter: int) -> Deployment:
    """The deployment of `target`. `artifacts` holds every bundle of the mapping by name and version."""
    bundles = tuple(_deployed(artifacts[manifest.name, manifest.version]) for manifest in mapping.bundles_for(target))
    digest = hashlib.sha256(msgspec.json.encode([(b.name, b.version, b.sha256) for b in bundles])).hexdigest()
    return Deployment(version=f"{counter}-{digest[:12]}", bundles=bundles, within_s=mapping.within_s)


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
        url=f"/bundles/{name}/{version}",
        size=artifact.size,
        signature=artifact.signature,
    )
