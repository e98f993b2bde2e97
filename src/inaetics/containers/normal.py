"""Layers in one form, whatever engine, storage driver and user wrote them.

An engine's layer holds the right files, but its entries come in the driver's order and without root directories carry
attributes of the overlay driver's (`user.overlay.impure`). Rewritten here, the same files are the same bytes. What the
configuration says of images in between goes: it depends on what the engine's cache held.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Collection
from pathlib import Path

from inaetics.containers.layout import load, write_image
from inaetics.containers.process import run
from inaetics.containers.tarball import EPOCH
from inaetics.units.container import ContainerEngine

_EXPORT_S = 600.0

_DRIVERS = ("SCHILY.xattr.user.overlay.", "SCHILY.xattr.trusted.overlay.")

_BASE = "org.opencontainers.image.base."
"""Annotations about the image of the last step but one, which has no form of ours."""


def normalise(engine: ContainerEngine, reference: str, workplace: Path, *, kept: Collection[str]) -> None:
    """Replace the image `reference` by one whose layers have the one form; those in `kept` (digests) stay.

    Only for podman's images. `workplace` is a new directory with room for the image, uncompressed.
    """
    command = [*engine.command, "push", "--quiet", reference, f"dir:{workplace}"]
    run(command, doing=f"take image {reference} out of the store", timeout_s=_EXPORT_S)
    manifest = json.loads((workplace / "manifest.json").read_bytes())
    config = json.loads((workplace / _hex(manifest["config"]["digest"])).read_bytes())
    digests = []
    for digest in config["rootfs"]["diff_ids"]:
        digests.append(_hex(digest) if digest in kept else _rewritten(workplace, _hex(digest)))
    config["rootfs"]["diff_ids"] = [f"sha256:{digest}" for digest in digests]
    config["history"] = [_without_stage(step) for step in config.get("history") or ()]
    noted = {key: value for key, value in (manifest.get("annotations") or {}).items() if not key.startswith(_BASE)}
    made = write_image(workplace, config, digests, annotations=noted)
    load(engine, workplace, reference, identity=made)


def rewrite(archive: Path, target: Path) -> str:
    """Write the layer `archive` anew as `target`: sorted, at one time, without drivers' attributes. Returns its digest.

    Owners, modes, links, devices and all other attributes stay.
    """
    with tarfile.open(archive) as source, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in _in_order(source.getmembers()):
            entry.mtime = EPOCH
            entry.uname = entry.gname = ""
            entry.pax_headers = {key: value for key, value in entry.pax_headers.items() if _is_content(key)}
            tar.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
    with target.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()


def _without_stage(step: dict[str, object]) -> dict[str, object]:
    """A step of the history without the id of the image it was built on, where that is one in between."""
    if re.fullmatch(r"FROM [0-9a-f]{12}", str(step.get("comment", ""))):
        return {key: value for key, value in step.items() if key != "comment"}
    return step


def _rewritten(workplace: Path, digest: str) -> str:
    """Replace the layer `digest` in the workplace; returns what it is called now."""
    made = workplace / "layer.tar"
    name = rewrite(workplace / digest, made)
    (workplace / digest).unlink()
    made.replace(workplace / name)
    return name


def _in_order(entries: list[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """By path; hard links after everything else, because what they mean must be there before."""
    return sorted(entries, key=lambda entry: (entry.islnk(), entry.name.split("/")))


def _is_content(key: str) -> bool:
    return key.startswith("SCHILY.xattr.") and not key.startswith(_DRIVERS)


def _hex(digest: str) -> str:
    return os.path.basename(digest.removeprefix("sha256:"))
