"""Bundles of one cluster: packed here, signed with its signer's key, pushed to its registry and then made known.

In this order, so that a push that is cut leaves nothing that anybody would deploy. Commands and the demo use it.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inaetics.bundles.archive import Archive, open_archive, pack
from inaetics.bundles.manifest import MANIFEST
from inaetics.bundles.records import REPOSITORY, Artifact
from inaetics.bundles.signature import Signature, sign, verify
from inaetics.cli.bundle_java import prepared
from inaetics.containers.artifacts import ArtifactRegistry, Payload
from inaetics.errors import InaeticsError, InvalidInput, NotFound, Unavailable

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.provisioning_wire import VersionReply

ARCHIVE_TYPE = "application/vnd.inaetics.bundle.v1+zip"
MANIFEST_TYPE = "application/vnd.inaetics.bundle.manifest.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Depot:
    """What pushing needs of a cluster: its registries, the one that is pushed to first, and the signer's files."""

    registries: tuple[str, ...]
    context: ssl.SSLContext
    certificate: Path
    key: Path
    anchors: Path

    def registry(self) -> ArtifactRegistry:
        """The first registry that answers; raises `Unavailable` when none does."""
        said: list[str] = []
        for address in self.registries:
            registry = ArtifactRegistry(address, self.context)
            try:
                registry.holds(f"{REPOSITORY}nothing", "0" * 64)
            except InaeticsError as error:
                said.append(str(error))
                continue
            return registry
        raise Unavailable(f"cannot push bundles: {'; '.join(said)} (is its host up? inaetics status)")

    def sign(self, sha256: str) -> Signature:
        """Sign with the signer's key; raises `NotFound` where there is none."""
        if not self.key.exists():
            raise NotFound(f"there is no signer's key {self.key} (this machine's cluster makes one: inaetics up)")
        return sign(sha256, certificate=self.certificate, key=self.key)

    def vouches_for(self, artifact: Artifact) -> bool:
        """Whether its signature counts in this cluster."""
        try:
            verify(artifact.sha256, artifact.signature, anchors=self.anchors)
        except InvalidInput:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A bundle that is known now. `unchanged`: it was before."""

    artifact: Artifact
    unchanged: bool


def depot(cluster: str) -> Depot:
    """Where the bundles of `cluster` go; raises `NotFound` when there is no such cluster on this machine."""
    from inaetics.hosts.cluster import load
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.pki import OPERATOR, SIGNER
    from inaetics.tls import client_context

    paths = cluster_paths(cluster)
    registries = load(paths).registries
    ca = paths.pki / "ca.pem"
    cert, key = paths.pki / f"{OPERATOR}.pem", paths.pki / f"{OPERATOR}.key"
    return Depot(
        registries=registries,
        context=client_context(ca=ca, cert=cert, key=key, whose="the operator's"),
        certificate=paths.pki / f"{SIGNER}.pem",
        key=paths.pki / f"{SIGNER}.key",
        anchors=ca,
    )


@contextmanager
def archives(sources: Sequence[Path]) -> Iterator[list[Archive]]:
    """Open each archive, and pack each bundle folder; a folder of bundles stands for all in it.

    The archives last as long as the block. Raises `InvalidInput` for the first thing that is no bundle.
    """
    with tempfile.TemporaryDirectory(prefix="inaetics-bundles-") as place:
        paths = [path for source in sources for path in _packed(source, Path(place))]
        yield [open_archive(path) for path in paths]


@contextmanager
def demonstrator() -> Iterator[list[Archive]]:
    """The demonstrator's own bundles, for the time of the block."""
    with as_file(files("inaetics.demonstrator") / "bundles") as folder, archives([folder]) as found:
        yield found


def shipped_mapping() -> str:
    """The demonstrator's mapping."""
    return (files("inaetics.demonstrator") / "mapping.toml").read_text("utf-8")


def _packed(source: Path, place: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return [pack(prepared(folder, place), place) for folder in bundle_folders(source)]


def build_folders(folders: Sequence[Path], to: Path) -> list[Path]:
    """Pack every bundle of these folders into `to`; returns the archives."""
    with tempfile.TemporaryDirectory(prefix="inaetics-bundles-") as place:
        return [
            pack(prepared(each, Path(place) / str(number)), to)
            for number, folder in enumerate(folders)
            for each in bundle_folders(folder)
        ]


def bundle_folders(source: Path) -> list[Path]:
    """The bundle folder `source`, or all directly in it."""
    if (source / MANIFEST).exists():
        return [source]
    found = sorted(path.parent for path in source.glob(f"*/{MANIFEST}"))
    if not found:
        raise InvalidInput(
            f"there is no bundle in {source}: a bundle's folder holds a {MANIFEST}"
            " (make one: inaetics bundle init NAME)"
        )
    return found


def push_bundles(
    client: FleetClient,
    place: Depot,
    found: Sequence[Archive],
    *,
    by: str,
    replace: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Pushed]:
    """Sign and push what is not there yet, and make it known. Raises `Conflict` for a version with another archive."""
    from inaetics.api.provisioning_client import bundles

    registry = place.registry()
    known = {(each.name, each.version): each for each in bundles(client)}
    pushed: list[Pushed] = []
    for archive in found:
        progress(archive.manifest.key)
        before = known.get((archive.manifest.name, archive.manifest.version))
        pushed.append(_push(client, place, registry, archive, before, by=by, replace=replace))
    return pushed


def sign_again(client: FleetClient, place: Depot) -> list[Artifact]:
    """Sign every archive of the repository whose signature does not count any more, replaced or not; returns them.

    Archives need not be at hand: what is signed is their hash, which the API checked when they were pushed.
    """
    from inaetics.api.provisioning_client import archives, sign_bundle

    made = [
        msgspec.structs.replace(each, signature=place.sign(each.sha256))
        for each in archives(client)
        if not place.vouches_for(each)
    ]
    for artifact in made:
        sign_bundle(client, artifact)
    return made


def remove_bundle(client: FleetClient, place: Depot | None, name: str, version: str) -> None:
    """Forget a version of a bundle; with `place` also its tag in the registry."""
    from inaetics.api import provisioning_client

    provisioning_client.remove_bundle(client, name, version)
    if place is not None:
        place.registry().remove(f"{REPOSITORY}{name}", version)


def _push(
    client: FleetClient,
    place: Depot,
    registry: ArtifactRegistry,
    archive: Archive,
    before: Artifact | None,
    *,
    by: str,
    replace: bool,
) -> Pushed:
    from inaetics.api.provisioning_client import put_bundle

    manifest, repository = archive.manifest, f"{REPOSITORY}{archive.manifest.name}"
    same = before is not None and before.sha256 == archive.sha256
    if before is not None and same and place.vouches_for(before) and registry.holds(repository, archive.sha256):
        return Pushed(artifact=before, unchanged=True)
    if not replace or same:
        refuse_another(before, archive)
    made = msgspec.structs.replace(artifact_of(archive, by=by), signature=place.sign(archive.sha256))
    payload = Payload(
        data=archive.path.read_bytes(),
        media_type=ARCHIVE_TYPE,
        config=msgspec.json.encode(manifest),
        config_type=MANIFEST_TYPE,
    )
    registry.push(repository, manifest.version, payload)
    put_bundle(client, made, replace=replace)
    return Pushed(artifact=made, unchanged=False)


def artifact_of(archive: Archive, *, by: str) -> Artifact:
    """The record of an archive, not signed."""
    return Artifact.of(archive.manifest, sha256=archive.sha256, size=archive.size, by=by)


def refuse_another(before: Artifact | None, archive: Archive) -> None:
    """Before anything is sent: its tag must not move to an archive that will not be taken."""
    from inaetics.errors import Conflict

    if before is not None and before.sha256 != archive.sha256:
        raise Conflict(
            f"bundle {archive.manifest.key} is there already with another archive (sha256 {before.sha256[:16]}…): "
            "raise the version in its bundle.json, or push with --replace"
        )


def use_newest(
    client: FleetClient, pushed: Sequence[Pushed], *, by: str, reason: str = "", trial_s: float | None = None
) -> VersionReply | None:
    """Let everybody who gets one of these bundles have its archive of now; None when everybody has.

    That is a new version of the mapping, so that it is known who changed what, and can be undone. What a push that was
    cut left undone is done by the next one. With `trial_s` it is on trial.
    """
    from inaetics.api.provisioning_client import change
    from inaetics.api.provisioning_wire import VersionRequest

    replaced = tuple(each.artifact.key for each in pushed)
    asked = VersionRequest(replaced=replaced, by=by, reason=reason, trial_s=trial_s)
    try:
        reply = change(client, asked)
    except NotFound:
        return None  # no mapping was ever applied
    return reply if reply.version != reply.before else None


def push_demonstrator(
    client: FleetClient, cluster: str, *, by: str, progress: Callable[[str], None] = lambda step: None
) -> tuple[int, str]:
    """As `pushed_demonstrator`, for those who do not wait for agents: how many bundles were new, and the words."""
    done = pushed_demonstrator(client, cluster, by=by, progress=progress)
    return done.new, done.mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstrator:
    """What a push of the demonstrator did: how many bundles were `new`, what became of the mapping, in words, and the
    version that was made."""

    new: int
    mapping: str
    made: VersionReply | None


def pushed_demonstrator(
    client: FleetClient, cluster: str, *, by: str, progress: Callable[[str], None] = lambda step: None
) -> Demonstrator:
    """Push the demonstrator's bundles, and put its mapping in force unless there is another one.

    A bundle whose code changed under its version is replaced, also where another mapping gives it: these come with the
    software.
    """
    with demonstrator() as found:
        pushed = push_bundles(client, depot(cluster), found, by=by, replace=True, progress=progress)
    progress("mapping")
    words, made = _apply_shipped(client, pushed, by)
    return Demonstrator(new=sum(not each.unchanged for each in pushed), mapping=words, made=made)


def _apply_shipped(client: FleetClient, pushed: Sequence[Pushed], by: str) -> tuple[str, VersionReply | None]:
    from inaetics.api.provisioning_client import change, version
    from inaetics.api.provisioning_wire import VersionRequest

    text = shipped_mapping()
    try:
        current = version(client)
    except NotFound:
        current = None
    if current is not None and current.text != text:
        made = use_newest(client, pushed, by=by)
        if made is None:
            return f"version {current.version} of the mapping stays in force: it is not the demonstrator's", None
        words = f"version {made.version} of the mapping is in force now: {made.note}; it is not the demonstrator's"
        return words, made
    number = current.version if current else 0
    planned = change(client, VersionRequest(text=text, by=by, expected=number, plan=True))
    if current is not None and not any(each.added or each.removed or each.changed for each in planned.changes):
        return f"the demonstrator's mapping is in force (version {number})", None
    made = change(client, VersionRequest(text=text, by=by, expected=number))
    return f"the demonstrator's mapping is in force now (version {made.version})", made
