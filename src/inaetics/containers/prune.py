"""What of a container store nobody needs any more: decided from values, shown before anything is removed.

An image stays when a container was made from it, when a unit of the fleet runs or names it, and when a tag of the
registry means it. In the store that images are built in every image with a name stays, with those it was built on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inaetics.containers.cache import youngest_first
from inaetics.containers.process import run
from inaetics.errors import CommandFailed
from inaetics.units.container import ContainerEngine

_LIST_S = 60.0
_REMOVE_S = 300.0

CUT_S = 3600.0
"""A container this old that no container of the engine's is known for was left by a build that was cut."""


class StoredImage(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An image as podman lists it; `size` counts all its layers, uncompressed, also those it shares."""

    id: str
    parent_id: str = ""
    names: tuple[str, ...] | None = None
    repo_digests: tuple[str, ...] | None = None
    digest: str = ""
    size: int = 0
    containers: int = 0

    @property
    def title(self) -> str:
        """What people call it."""
        known = sorted(self.names or self.repo_digests or ())
        return re.sub(r"(@sha256:.{12}).*", r"\1", known[0]) if known else self.id[:12]

    @property
    def digests(self) -> frozenset[str]:
        """Every digest under which it may be asked for."""
        return frozenset((self.digest, *(name.partition("@")[2] for name in self.repo_digests or ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What must stay: `digests` of manifests, and `names` as units write them, with the registry's address."""

    digests: Collection[str] = ()
    names: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An image to remove, and why nobody needs it; `own` bytes are not those of the image it was built on."""

    image: StoredImage
    reason: str
    own: int

    @property
    def nameless(self) -> bool:
        """Whether nobody could ask for it, other than by its id."""
        return not (self.image.names or self.image.repo_digests)


def plan_prune(images: Sequence[StoredImage], needed: Needed, *, builder: bool) -> tuple[Removal, ...]:
    """What to remove of one store, in an order in which it can be: an image goes before the one it was built on.

    `builder`: images are built here; what has a name stays. The same images in another order are the same plan.
    """
    by_id = {image.id: image for image in images}
    kept: set[str] = set()
    for image in by_id.values():
        if _is_needed(image, needed) or (builder and image.names):
            _keep(image.id, by_id, kept)
    gone = [image for image in by_id.values() if image.id not in kept]
    ordered = sorted(gone, key=lambda image: (-_depth(image, by_id), image.title, image.id))
    return tuple(
        Removal(image=image, reason=_reason(image, builder=builder), own=_own(image, by_id)) for image in ordered
    )


def stored_images(engine: ContainerEngine) -> tuple[StoredImage, ...]:
    """Every image of podman's store, those without a name too."""
    said = run(
        [*engine.command, "images", "--all", "--format", "json"], doing="list the store's images", timeout_s=_LIST_S
    )
    return msgspec.json.decode(said or "[]", type=tuple[StoredImage, ...])


def carry_out(engine: ContainerEngine, removals: Sequence[Removal]) -> tuple[dict[str, str], int]:
    """Remove what was planned; returns the engine's words by image for what it kept, and how many went.

    An image that a container was made from meanwhile is refused by the engine, and stays.
    """
    refused: dict[str, str] = {}
    for removal in removals:
        try:
            run([*engine.command, "rmi", *_handles(removal.image)], doing="remove an image", timeout_s=_REMOVE_S)
        except CommandFailed as error:
            if "image not known" not in error.output:
                refused[removal.image.title] = error.output.splitlines()[-1]
    return refused, len(removals) - len(refused)


def cut_builds(engine: ContainerEngine, *, now: float | None = None) -> tuple[str, ...]:
    """The working containers of builds that were cut long ago, by id; they keep images from being removed."""
    asked = [*engine.command, "ps", "--all", "--external", "--no-trunc", "--format", "json"]
    listed = msgspec.json.decode(run(asked, doing="list working containers", timeout_s=_LIST_S) or "[]")
    oldest = (time.time() if now is None else now) - CUT_S
    return tuple(each["Id"] for each in listed if _is_working(each) and each.get("Created", oldest) < oldest)


def remove_cut_builds(engine: ContainerEngine, ids: Sequence[str]) -> None:
    """Remove what `cut_builds` found."""
    if ids:
        run([*engine.command, "rm", "--force", *ids], doing="remove what cut builds left", timeout_s=_REMOVE_S)


def spare_archives(cache: Path) -> tuple[Path, ...]:
    """The archives of base images and packages in the build cache that the last build did not use."""
    return tuple(path for kind in ("base-*.tar", "wheels-*.tar") for path in youngest_first(cache, kind)[1:])


def _is_needed(image: StoredImage, needed: Needed) -> bool:
    if image.containers or image.digests & set(needed.digests):
        return True
    return bool(set(image.names or ()) & set(needed.names))


def _keep(identity: str, by_id: Mapping[str, StoredImage], kept: set[str]) -> None:
    while identity in by_id and identity not in kept:
        kept.add(identity)
        identity = by_id[identity].parent_id


def _depth(image: StoredImage, by_id: Mapping[str, StoredImage]) -> int:
    depth, seen = 0, {image.id}
    while (image := by_id.get(image.parent_id, image)).id not in seen:
        seen.add(image.id)
        depth += 1
    return depth


def _own(image: StoredImage, by_id: Mapping[str, StoredImage]) -> int:
    parent = by_id.get(image.parent_id)
    return max(0, image.size - parent.size) if parent else image.size


def _reason(image: StoredImage, *, builder: bool) -> str:
    if builder:
        return "builds replaced it, or used it on the way"
    return "no unit runs it, and no tag means it" if image.repo_digests or image.names else "it has no name any more"


def _handles(image: StoredImage) -> tuple[str, ...]:
    """What to give `rmi`: an image with several names goes by all of them, one without by its id."""
    names = tuple(image.names or ())
    return names if len(names) > 1 else (image.id,)


def _is_working(listed: Mapping[str, object]) -> bool:
    return str(listed.get("Status", "")).lower() == "storage" or listed.get("State") == "storage"
