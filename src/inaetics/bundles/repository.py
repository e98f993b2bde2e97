"""The archives there are, by what names them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Map
from dataclasses import dataclass, field

from inaetics.bundles.given import Pinned
from inaetics.bundles.manifest import Manifest
from inaetics.bundles.records import Artifact
from inaetics.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """`newest` has the archive that each version of a bundle has now, `replaced` those it had that are still kept."""

    newest: Map[tuple[str, str], Artifact] = field(default_factory=dict)
    replaced: Map[tuple[str, str, str], Artifact] = field(default_factory=dict)
    """By name, version and hash."""

    @staticmethod
    def of(newest: Iterable[Artifact], replaced: Iterable[Artifact] = ()) -> Repository:
        return Repository(
            newest={(each.name, each.version): each for each in newest},
            replaced={(each.name, each.version, each.sha256): each for each in replaced},
        )

    def find(self, pinned: Pinned) -> Artifact:
        """The record of this archive; raises `NotFound`."""
        found = self.newest.get((pinned.name, pinned.version))
        if found is None or found.sha256 != pinned.sha256:
            found = self.replaced.get((pinned.name, pinned.version, pinned.sha256))
        if found is None:
            raise NotFound(
                f"the archive of bundle {pinned.name}-{pinned.version} with sha256 {pinned.sha256[:16]}… is not kept "
                "any more (what there is: inaetics bundle list)"
            )
        return found

    def manifests(self, pins: Map[str, str]) -> list[Manifest]:
        """Of every version of every bundle: of the archive that `pins` names (``name@version`` → hash), else newest.

        Raises `NotFound` for a pin whose archive is not kept.
        """
        return [self.pick(each, pins).manifest for each in self.newest.values()]

    def pick(self, newest: Artifact, pins: Map[str, str]) -> Artifact:
        """What `pins` make of an archive."""
        sha256 = pins.get(newest.key)
        if sha256 is None or sha256 == newest.sha256:
            return newest
        return self.find(Pinned(name=newest.name, version=newest.version, sha256=sha256))

    @property
    def all(self) -> tuple[Artifact, ...]:
        return (*self.newest.values(), *self.replaced.values())
