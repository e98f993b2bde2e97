"""What tags mean now, asked of the cluster's registries, and the digest that a unit is to keep.

Promises: a registry that is away or hangs holds nothing up for longer than a moment (it is not asked again at once),
and is never a reason to refuse a unit: its digest is then learnt from the machine that runs it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from inaetics.containers.registry import Registry
from inaetics.errors import InaeticsError, NotFound, Unavailable
from inaetics.fleet import keys, mapper
from inaetics.fleet.images import Manifest, followed_by
from inaetics.fleet.model import Desired, Unit
from inaetics.store.protocol import Store
from inaetics.units.image_names import OWN_REGISTRY, Followed

_log = structlog.get_logger()

_WITHIN_S = 1.5
"""For one registry to answer, and twice that for all: whoever starts a unit waits for it."""
_FRESH_S = 1.0
"""So long an answer counts for further units; a push is seen by what is asked later."""
_AWAY_S = 5.0
"""So long registries that did not answer are left alone."""
_KEPT = 1024


class Tags(Protocol):
    """Where tags are looked up."""

    async def manifest(self, image: Followed, digest: str = "") -> Manifest:
        """What the tag means now, or what the repository has under `digest`.

        Raises NotFound for what no registry of the cluster has, or could have; Unavailable when none answers.
        """


class NoTags:
    """For a fleet without registries."""

    async def manifest(self, image: Followed, digest: str = "") -> Manifest:
        """Raise Unavailable."""
        raise Unavailable(f"cannot look {image.short} up: this fleet has no registry")


class RegistryTags:
    """Asks the registries at `addresses`, the first that answers; `certificates` holds ca.crt, client.cert, client.key.

    Use it in one event loop.
    """

    def __init__(self, addresses: Sequence[str], certificates: Path) -> None:
        self._addresses = tuple(addresses)
        self._silent_since: dict[str, float] = {}
        self._certificates = certificates
        self._known: dict[tuple[Followed, str], tuple[float, Manifest | InaeticsError]] = {}
        self._asking = asyncio.Lock()

    async def manifest(self, image: Followed, digest: str = "") -> Manifest:
        """As `Tags` has it."""
        if image.registry != OWN_REGISTRY and image.registry not in self._addresses:
            raise NotFound(f"cannot look {image} up: it is in no registry of this cluster")
        async with self._asking:
            found = self._remembered(image, digest)
            if found is None:
                found = await asyncio.to_thread(self._ask, self._in_order(), image, digest)
                self._remember(image, digest, found)
        if isinstance(found, InaeticsError):
            raise found
        return found

    def _remembered(self, image: Followed, digest: str) -> Manifest | InaeticsError | None:
        asked_at, found = self._known.get((image, digest), (float("-inf"), None))
        is_lasting = bool(digest) and isinstance(found, Manifest)
        lasts_s = float("inf") if is_lasting else _AWAY_S if isinstance(found, Unavailable) else _FRESH_S
        return found if asyncio.get_running_loop().time() - asked_at < lasts_s else None

    def _in_order(self) -> list[str]:
        """Those that did not answer a moment ago come last."""
        late = time.monotonic() - _AWAY_S
        return sorted(self._addresses, key=lambda each: self._silent_since.get(each, late) > late)

    def _remember(self, image: Followed, digest: str, found: Manifest | InaeticsError) -> None:
        while len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[image, digest] = (asyncio.get_running_loop().time(), found)

    def _ask(self, addresses: Sequence[str], image: Followed, digest: str) -> Manifest | InaeticsError:
        """The answer, or why there is none; runs in a thread."""
        until, absent = time.monotonic() + 2 * _WITHIN_S, None
        silent: InaeticsError = Unavailable(f"cannot look {image.short} up: the cluster has no registry")
        for address in addresses:
            try:
                with Registry(address, self._certificates, timeout_s=_WITHIN_S) as registry:
                    there, layers = registry.manifest(image.repository, digest or image.tag)
                    return Manifest(digest=there, layers=layers)
            except NotFound as error:
                absent = error
            except InaeticsError as error:
                self._silent_since[address] = time.monotonic()
                silent = Unavailable(str(error))
            if time.monotonic() > until:
                break
        return absent or silent


class ImageKeeper:
    """Says which digest a unit keeps."""

    def __init__(self, store: Store, tags: Tags) -> None:
        self._store = store
        self._tags = tags
        self._texts: dict[str, str] = {}

    async def digest(self, old: Unit | None, new: Unit, texts: Mapping[str, str]) -> str:
        """The digest for `new`, which `old` becomes; `texts` has files by hash, others are read.

        What follows the same tag keeps its digest; else the tag is looked up once the unit is to run. Empty where that
        cannot be known, or not yet.
        """
        if old and old.image and old.content_hash == new.content_hash:
            return old.image
        image = followed_by(new.name, await self._text(new.content_hash, texts))
        if image is None:
            return ""
        if old and old.image and followed_by(old.name, await self._text(old.content_hash, texts)) == image:
            return old.image
        return "" if new.desired is Desired.INACTIVE else await self._look_up(new, image)

    async def _look_up(self, unit: Unit, image: Followed) -> str:
        try:
            return (await self._tags.manifest(image)).digest
        except (NotFound, Unavailable) as error:
            _log.info("tag not looked up", unit=unit.name, image=str(image), reason=str(error))
            return ""

    async def _text(self, content_hash: str, texts: Mapping[str, str]) -> str:
        """A file; of one that is no container's nothing is kept but that."""
        if content_hash in texts:
            return texts[content_hash]
        known = self._texts.get(content_hash)
        if known is None:
            item = await self._store.get(keys.file(content_hash))
            if item is None:
                return ""
            text = mapper.file(item).text
            known = text if "[Container]" in text else ""
            while len(self._texts) >= _KEPT:
                del self._texts[next(iter(self._texts))]
            self._texts[content_hash] = known
        return known
