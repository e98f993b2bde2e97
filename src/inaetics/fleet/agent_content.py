"""The text a host's supervisor gets for a placed unit: the submitted file, a container's turned into a service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from inaetics.errors import InvalidInput, NotFound
from inaetics.fleet import keys, mapper
from inaetics.fleet.in_touch import TouchTimes, check_stop, stops_when_lost
from inaetics.fleet.model import Placement
from inaetics.fleet.settings import AgentSettings
from inaetics.store.protocol import Store
from inaetics.units.container import ContainerEngine, container_name, exec_prefix, is_container, to_service
from inaetics.units.grammar import parse
from inaetics.units.health import with_health
from inaetics.units.image_names import followed
from inaetics.units.names import parse_name

K = TypeVar("K")
V = TypeVar("V")

_KEPT = 256
"""Files kept in memory; each is asked for again when a unit with it is placed."""


@dataclass(frozen=True, slots=True)
class Content:
    """`hash` is the SHA-256 in hex of `text`, as the supervisor reports it; `submitted` is what that was made from.

    `container` is the name of the container of a unit that follows a tag.
    """

    text: str
    hash: str
    submitted: str
    stop_when_lost: bool = False
    container: str = ""


class Contents:
    """Fetches files once and converts them for this host; `engine_file` describes its container engine."""

    def __init__(self, store: Store, engine_file: Path | None, times: TouchTimes | None = None) -> None:
        self._store = store
        self._times = times or AgentSettings().touch
        self._engine_file = engine_file
        self._texts: dict[str, str] = {}
        self._made: dict[tuple[str, str], Content] = {}

    async def of(self, placement: Placement) -> Content:
        """Return what the supervisor should have for `placement`.

        Raises NotFound or InvalidInput when that cannot be, whatever is tried; Unavailable when the store is silent.
        """
        return self.made_of(await self._text(placement.content_hash), placement)

    def made_of(self, submitted: str, placement: Placement) -> Content:
        """Return the same from the submitted file. Raises NotFound or InvalidInput.

        A file that says nothing of the unit's name is read once for all its instances, unless it is a container's: what
        that becomes depends on the host's engine.
        """
        key = (submitted, placement.unit if "%" in submitted else "")
        known = self._made.get(key)
        if known is None:
            known, is_lasting = self._make(submitted, placement)
            if is_lasting:
                _keep(self._made, key, known)
        return known

    def _make(self, submitted: str, placement: Placement) -> tuple[Content, bool]:
        """Return what the supervisor should have, and whether it stays so on this host."""
        unit_file, name, text = parse(submitted, source=placement.unit), parse_name(placement.unit), submitted
        check_stop(unit_file, name, self._times)
        lasting, container = not is_container(unit_file), ""
        if not lasting:
            engine = self.engine(placement)
            service = to_service(unit_file, name, engine, digest=placement.image)
            if followed(unit_file, name):
                container = container_name(
                    service, name, machine_id=placement.machine, host_name=placement.machine_name
                )
            text = str(with_health(service, prefix=exec_prefix(service, name, engine)))
        elif (service := with_health(unit_file)) is not unit_file:
            text = str(service)
        return Content(text, mapper.content_hash(text), submitted, stops_when_lost(unit_file, name), container), lasting

    async def _text(self, content_hash: str) -> str:
        known = self._texts.get(content_hash)
        if known is not None:
            return known
        item = await self._store.get(keys.file(content_hash))
        if item is None:
            raise NotFound(f"its unit file {content_hash[:12]} is not in the store (submit the unit again)")
        return _keep(self._texts, content_hash, mapper.file(item).text)

    def engine(self, placement: Placement) -> ContainerEngine:
        """Read the host's description each time: `doctor` and a repaired engine take effect without a restart."""
        what = f"cannot run container unit '{placement.unit}' here"
        if self._engine_file is None:
            raise NotFound(f"{what}: this host was set up without a container engine (inaetics doctor)")
        try:
            described = self._engine_file.read_bytes()
        except OSError as error:
            raise NotFound(
                f"{what}: this host has no container engine that works, as far as {self._engine_file} says "
                f"({error.strerror}); what is missing: inaetics doctor"
            ) from error
        try:
            return msgspec.json.decode(described, type=ContainerEngine)
        except msgspec.MsgspecError as error:
            raise InvalidInput(
                f"{what}: {self._engine_file} is damaged: {error} (make it anew: inaetics up)"
            ) from error


def _keep(where: dict[K, V], key: K, value: V) -> V:
    """Remember a value, and forget the oldest of too many."""
    while len(where) >= _KEPT:
        del where[next(iter(where))]
    where[key] = value
    return value
