"""Versions of a mapping as the API makes them, from a text and the bundles there are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from inaetics.bundles.given import given
from inaetics.bundles.manifest import Manifest
from inaetics.bundles.records import Artifact, Held, Version
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve


def artifact_of(manifest: Manifest, content: str = "") -> Artifact:
    """An archive of a bundle; other `content`, another hash."""
    sha256 = hashlib.sha256(f"{manifest.key} {content}".encode()).hexdigest()
    return Artifact.of(manifest, sha256=sha256, size=1)


def version_of(
    text: str,
    manifests: Iterable[Manifest],
    *,
    number: int = 1,
    lock: Mapping[str, str] | None = None,
    held: Mapping[str, Held] | None = None,
) -> Version:
    """The version that `text` makes with an archive of each of these bundles."""
    version = Version(version=number, text=text, lock=dict(lock or {}), held=dict(held or {}))
    return resolve(version, Repository.of(map(artifact_of, manifests)))


def gives(version: Version, target: str) -> list[str]:
    """What `target` gets: ``name-version``, as it starts."""
    return [f"{bundle.name}-{bundle.version}" for bundle in given(version, target)]
