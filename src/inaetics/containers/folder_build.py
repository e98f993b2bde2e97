"""Building a folder with its Containerfile by the engine, so that the same folder gives the same image.

Podman fixes the time of everything, and the image that comes out is brought into the one form (`normal`). Docker knows
no fixed time: its images run, and their digests differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inaetics.containers.context import full_name
from inaetics.containers.images import identity, layers_of
from inaetics.containers.normal import normalise
from inaetics.containers.process import run
from inaetics.containers.tarball import EPOCH
from inaetics.errors import InvalidInput, NotFound
from inaetics.units.container import ContainerEngine

_BUILD_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What to build: the folder `context` with its `recipe`, as image `reference`.

    `bases` are the images it starts and copies from; `start`, where it is given, stands for the recipe's first FROM.
    """

    context: Path
    recipe: Path
    reference: str
    bases: tuple[str, ...]
    labels: Mapping[str, str]
    start: str | None = None


def build_folder(engine: ContainerEngine, folder: Folder, workplace: Path) -> None:
    """Build it into the engine's store; `workplace` is a new directory with room for the image.

    Raises `NotFound` for an image to start from that is not there, `CommandFailed` with the engine's words.
    """
    for each in folder.bases:
        base_identity(engine, each)
    labels = [word for key, value in folder.labels.items() for word in ("--label", f"{key}={value}")]
    named: Sequence[str | Path] = ("--tag", folder.reference, "--file", folder.recipe, folder.context)
    command = [*engine.command, "build", "--quiet", *_fixed(engine, folder.start), *labels, *named]
    run(command, doing=f"build image {folder.reference}", timeout_s=_BUILD_S)
    if engine.kind == "docker":
        return
    # Also where no layer came on: which images in between the cache had shows in the configuration.
    kept = {digest for each in folder.bases for digest in layers_of(engine, each) or ()}
    normalise(engine, folder.reference, workplace, kept=kept)


def base_identity(engine: ContainerEngine, reference: str) -> str:
    """The digest of an image to start from; one with a registry's name is fetched when it is not here."""
    found = identity(engine, reference)
    if found is None and not full_name(reference).startswith("localhost/"):
        command = [*engine.command, "pull", "--quiet", *engine.pull_flags, reference]
        run(command, doing=f"get the image to start from, {reference}", timeout_s=_BUILD_S)
        found = identity(engine, reference)
    if found is None:
        raise NotFound(
            f"cannot start from image {reference!r}: it is not in the build store (build it first: inaetics image"
            " build NAME --context FOLDER; what is there: inaetics ssh bootstrap podman images)"
        )
    return found


def _fixed(engine: ContainerEngine, start: str | None) -> Sequence[str]:
    """The flags that make what is built depend on nothing but what it is built from."""
    if engine.kind == "docker":
        if start is not None:
            raise InvalidInput("docker takes no other base than the Containerfile's: write it into its FROM")
        return ()
    other = () if start is None else ("--from", start)
    return (f"--timestamp={EPOCH}", "--identity-label=false", "--pull=missing", *engine.pull_flags, *other)
