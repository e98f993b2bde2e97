"""Provisioning over the API: bundles, versions of the mapping, targets."""

from __future__ import annotations

from urllib.parse import quote

from inaetics.api.client import FleetClient
from inaetics.api.provisioning_wire import (
    BundleList,
    BundleWritten,
    TargetHistory,
    TargetList,
    VersionKept,
    VersionList,
    VersionReply,
    VersionRequest,
)
from inaetics.bundles.records import Artifact, Version
from inaetics.bundles.repository import Repository

_PATH = "/inaetics/v1/provisioning"


def bundles(client: FleetClient) -> tuple[Artifact, ...]:
    """Every version of every bundle, the newest of each first."""
    return client.get_as(f"{_PATH}/bundles", BundleList).bundles


def archives(client: FleetClient) -> tuple[Artifact, ...]:
    """Every archive that is known: those of `bundles`, and those that were replaced and that a version may name."""
    found = client.get_as(f"{_PATH}/bundles", BundleList)
    return (*found.bundles, *found.replaced)


def repository(client: FleetClient) -> Repository:
    """The same, by what names them."""
    found = client.get_as(f"{_PATH}/bundles", BundleList)
    return Repository.of(found.bundles, found.replaced)


def sign_bundle(client: FleetClient, artifact: Artifact) -> None:
    """Bring the signature of an archive that is known, replaced or not."""
    client.send_as("PUT", f"{_bundle(artifact.name, artifact.version)}?sign=1", artifact, BundleWritten)


def put_bundle(client: FleetClient, artifact: Artifact, *, replace: bool = False) -> BundleWritten:
    """Make known an archive that is in the registry; `replace` also where this version had another one."""
    path = f"{_bundle(artifact.name, artifact.version)}{'?replace=1' if replace else ''}"
    return client.send_as("PUT", path, artifact, BundleWritten)


def remove_bundle(client: FleetClient, name: str, version: str) -> BundleWritten:
    """Forget a version of a bundle that nothing needs."""
    return client.send_as("DELETE", _bundle(name, version), None, BundleWritten)


def version(client: FleetClient, number: int = 0) -> Version:
    """A version of the mapping, or the one in force; raises `NotFound` when there is none."""
    return client.get_as(f"{_PATH}/versions/{number or 'current'}", Version)


def versions(client: FleetClient) -> VersionList:
    """The versions that are kept, the youngest first."""
    return client.get_as(f"{_PATH}/versions", VersionList)


def change(client: FleetClient, asked: VersionRequest) -> VersionReply:
    """Make another version, or say what it would change (`plan`)."""
    return client.send_as("POST", f"{_PATH}/versions", asked, VersionReply)


def keep(client: FleetClient, number: int) -> VersionKept:
    """Let the version in force stay; raises `Conflict` when another one than `number` is."""
    return client.send_as("POST", f"{_PATH}/versions/{number}/keep", None, VersionKept)


def targets(client: FleetClient, target: str = "") -> TargetList:
    """Every known target, or one, whether known or not."""
    return client.get_as(f"{_PATH}/targets/{quote(target, safe='')}" if target else f"{_PATH}/targets", TargetList)


def history(client: FleetClient, target: str) -> TargetHistory:
    """A target's audit log, the youngest first."""
    return client.get_as(f"{_PATH}/targets/{quote(target, safe='')}/history", TargetHistory)


def _bundle(name: str, version: str) -> str:
    return f"{_PATH}/bundles/{quote(name, safe='')}/{quote(version, safe='')}"
