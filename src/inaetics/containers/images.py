"""The system's images by name: which there are, what they are made from, and what of them is in a store.

base (Debian's Python) → layers (locked packages, our own package) → node (settings) → one thin image for each role.
A folder below `images/` with a Containerfile is an image; `builder` builds them, `push` brings them to a registry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inaetics.containers.process import run
from inaetics.errors import CommandFailed, NotFound
from inaetics.units.container import ContainerEngine
from inaetics.units.references import split_reference

LABEL = "org.inaetics.inputs"
"""The label that holds the digest of everything an image was made from."""

ORIGINS = {
    "base": "org.inaetics.base",
    "lock": "org.inaetics.lock",
    "package": "org.inaetics.package",
    "version": "org.opencontainers.image.version",
    "context": "org.inaetics.context",
}
"""The labels that say what an image was made from: the base image's key, the digests of the lock of Python packages and
of our package's files, its version, and the digest of the folder of an image that somebody built on ours."""

BASE = "localhost/inaetics/base:latest"
LAYERS = "localhost/inaetics/layers:latest"
"""Base, packages and our package as layers, without settings: what the image `node` starts from."""
JAVA = "localhost/inaetics/java:latest"
"""Base, a Java runtime with Felix and our agent, without settings: what the images in Java start from."""
SHARED = "node"
"""The image that the others start from; it is not pushed."""

_LOOK_S = 30.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What images are built from.

    `images` holds one folder an image, `package` is the folder of the Python package `inaetics`, `lock` names the
    packages beside it, `java` is the folder with the Java agent's sources, `version` is the package's.
    """

    images: Path
    package: Path
    lock: Path
    java: Path | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image in the store. `unchanged`: it was there already, made from the same."""

    name: str
    reference: str
    identity: str
    unchanged: bool


def image_names(images: Path) -> tuple[str, ...]:
    """The images that can be built and pushed, sorted. A folder ``felix-agent@java`` is ``felix-agent:java``."""
    found = sorted(path.parent.name.replace("@", ":") for path in images.glob("*/Containerfile"))
    return tuple(name for name in found if name != SHARED)


def usual_names(images: Path) -> tuple[str, ...]:
    """Those that are meant when none is named: not those with a tag of their own, which are for who asks for them."""
    return tuple(name for name in image_names(images) if ":" not in name)


def folder_of(name: str, images: Path) -> Path:
    """The folder of an image, which may have a tag."""
    return images / name.replace(":", "@")


def local_reference(name: str) -> str:
    """The name of an image in the build store."""
    return "localhost/inaetics/{}:{}".format(*split_reference(name))


def check_names(wanted: Sequence[str], images: Path) -> tuple[str, ...]:
    """The images meant: those named, or the usual ones; raises `NotFound` for one that there is not."""
    known = image_names(images)
    for name in wanted:
        if name not in known:
            raise NotFound(
                f"there is no image {name!r} (known: {', '.join(known)}; one of your own:"
                f" inaetics image build {name} --context FOLDER)"
            )
    return tuple(wanted) or usual_names(images)


def identity(engine: ContainerEngine, reference: str) -> str | None:
    """The digest of an image in the store, which is that of its configuration; None when it is not there."""
    return inspect(engine, reference, "{{.Id}}")


def layers_of(engine: ContainerEngine, reference: str) -> tuple[str, ...] | None:
    """The digests of an image's uncompressed layers, lowest first; None when it is not in the store."""
    said = inspect(engine, reference, "{{json .RootFS.Layers}}")
    if said is None:
        return None
    found: list[str] | None = json.loads(said)
    return tuple(found or ())


def labels_of(engine: ContainerEngine, reference: str) -> dict[str, str] | None:
    """An image's labels; None when it is not in the store."""
    said = inspect(engine, reference, "{{json .Config.Labels}}")
    return None if said is None else dict(json.loads(said) or {})


def origin(labels: Mapping[str, Any]) -> dict[str, str]:
    """What an image was made from, as far as its labels tell: `ORIGINS`' keys in their order."""
    return {key: str(labels[label]) for key, label in ORIGINS.items() if labels.get(label)}


def inspect(engine: ContainerEngine, reference: str, template: str) -> str | None:
    """One fact of an image in the store, None when it is not there."""
    try:
        return run(
            [*engine.command, "image", "inspect", "--format", template, reference],
            doing=f"look at image {reference}",
            timeout_s=_LOOK_S,
        )
    except CommandFailed as error:
        said = error.output.lower()
        if "no such image" in said or "image not known" in said or "no such object" in said:
            return None
        raise
