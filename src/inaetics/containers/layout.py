"""Images we put together ourselves: an OCI manifest over layers that are there as archives, loaded into a store.

The engine's own build would copy files through its storage, and what comes out depends on it: with the overlay driver
without root directories get attributes of the driver's, with vfs the order of entries differs. Written here, the same
layers and labels are the same bytes, whoever writes them and wherever; and layers that the store has are not read.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inaetics.containers.context import link
from inaetics.containers.process import run
from inaetics.containers.tarball import EPOCH
from inaetics.units.container import ContainerEngine

_LOAD_S = 300.0

_TYPE = "application/vnd.oci.image."
CREATED = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
"""When every image of ours was made, as far as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An uncompressed tar archive, and how the image's history names it."""

    archive: Path
    made_by: str


def write_layout(directory: Path, layers: Sequence[Layer], *, labels: Mapping[str, str], architecture: str) -> str:
    """Write an image of `layers`, lowest first, into the new `directory`; returns its identity (64 hex digits).

    The archives are linked, not copied, where the file system can.
    """
    directory.mkdir()
    digests = [_link_blob(directory, layer.archive) for layer in layers]
    config = {
        "architecture": architecture,
        "config": {"Labels": dict(sorted(labels.items()))},
        "created": CREATED,
        "history": [{"created": CREATED, "created_by": layer.made_by} for layer in layers],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    return write_image(directory, config, digests)


def write_image(
    directory: Path,
    config: Mapping[str, object],
    layers: Sequence[str],
    *,
    annotations: Mapping[str, str] | None = None,
) -> str:
    """Complete a directory that holds `layers` (archives named by their hex digests): configuration and manifest.

    It is podman's transport "dir": the one from which an image comes without a name of the engine's choice.
    """
    described = [_descriptor("layer.v1.tar", digest, (directory / digest).stat().st_size) for digest in layers]
    identity, size = _put(directory, config)
    own = _descriptor("config.v1+json", identity, size)
    manifest: dict[str, object] = {"schemaVersion": 2, "mediaType": f"{_TYPE}manifest.v1+json", "config": own}
    manifest |= {"layers": described} | ({"annotations": dict(annotations)} if annotations else {})
    (directory / "manifest.json").write_bytes(_json(manifest))
    (directory / "version").write_text("Directory Transport Version: 1.1\n")
    return identity


def load(engine: ContainerEngine, directory: Path, reference: str, *, identity: str) -> None:
    """Make `reference` in the engine's store mean the image in `directory`; layers that are there are not read."""
    doing = f"load image {reference}"
    if engine.kind == "docker":
        archive = directory / "docker.tar"
        _write_for_docker(archive, directory, reference, identity)
        run([*engine.command, "load", "--quiet", "--input", archive], doing=doing, timeout_s=_LOAD_S)
        return
    run([*engine.command, "pull", "--quiet", f"dir:{directory}"], doing=doing, timeout_s=_LOAD_S)
    run([*engine.command, "tag", identity, reference], doing=doing, timeout_s=_LOAD_S)


def _write_for_docker(archive: Path, directory: Path, reference: str, identity: str) -> None:
    """The same image in the one form that docker loads."""
    config = json.loads((directory / identity).read_bytes())
    digests = [digest.removeprefix("sha256:") for digest in config["rootfs"]["diff_ids"]]
    listed = [{"Config": identity, "RepoTags": [reference], "Layers": digests}]
    with tarfile.open(archive, "w") as tar:
        for digest in [identity, *dict.fromkeys(digests)]:
            tar.add(directory / digest, digest)
        content = _json(listed)
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def _link_blob(directory: Path, archive: Path) -> str:
    with archive.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if not (directory / digest).exists():
        link(archive, directory / digest)
    return digest


def _put(directory: Path, value: object) -> tuple[str, int]:
    content = _json(value)
    digest = hashlib.sha256(content).hexdigest()
    (directory / digest).write_bytes(content)
    return digest, len(content)


def _descriptor(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": f"{_TYPE}{kind}", "digest": f"sha256:{digest}", "size": size}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
