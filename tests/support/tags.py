"""What tags mean, as a test says it: the cluster's registries without any."""

from __future__ import annotations

from dataclasses import dataclass, field

from inaetics.errors import NotFound, Unavailable
from inaetics.fleet.images import Manifest
from inaetics.units.image_names import Followed


def digest(word: str) -> str:
    """A digest that begins with the hexadecimal `word`."""
    return f"sha256:{word:0<64}"


@dataclass(slots=True)
class FakeTags:
    """`push` makes a tag mean an image; while `silent` no registry answers. `asked` counts lookups."""

    silent: bool = False
    asked: int = 0
    _tags: dict[str, str] = field(default_factory=dict)
    _layers: dict[str, dict[str, int]] = field(default_factory=dict)

    def push(self, image: str, word: str, **layers: int) -> str:
        """Make `image` ("inaetics/felix-agent:latest") mean what `word` names; returns its digest."""
        self._tags[image] = digest(word)
        self._layers[digest(word)] = layers or {word: 1_000_000}
        return digest(word)

    async def manifest(self, image: Followed, digest: str = "") -> Manifest:
        """As `Tags` has it."""
        self.asked += 1
        if self.silent:
            raise Unavailable("no registry answers")
        found = digest or self._tags.get(image.short, "")
        if found not in self._layers:
            raise NotFound(f"no registry has {image.short}")
        return Manifest(digest=found, layers=self._layers[found])
