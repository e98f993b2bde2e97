"""What is placed on this machine, on its own disk: so that a host that boots while the store is silent can go on.

Promises: the file is whole or the one before, its owner's only, and on the disk (not only in memory) once written; one
that is missing, damaged or another machine's is said, and then counts as empty. It may be behind the store by a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from inaetics.files import replace_file
from inaetics.fleet.model import Desired, MachineId, Placement, UnitName

_log = structlog.get_logger()

_FORMAT = 1
_AGAIN_S = 5.0
"""Pause after a disk that took nothing."""


class _Unit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    hash: str
    desired: Desired
    revision: int = 0
    stop_when_lost: bool = False
    image: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = _FORMAT
    machine: str
    units: dict[str, _Unit] = {}
    texts: dict[str, str] = {}


class Saved(NamedTuple):
    """A unit that was placed here: its placement, as far as it matters, and its file's text as submitted."""

    placement: Placement
    text: str


class DesiredState:
    """Keeps `path` (None: nothing) in step with what `note` and `drop` say, while `run` runs."""

    def __init__(self, path: Path | None, machine: MachineId, *, delay_s: float) -> None:
        self._path = path
        self._machine = machine
        self._delay_s = delay_s
        self._units: dict[UnitName, tuple[_Unit, str]] = {}
        self._changed = asyncio.Event()

    def read(self) -> None:
        """Take up what an earlier agent of this machine wrote."""
        if self._path is None:
            return
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            _log.info("no desired state on disk", path=str(self._path))
            return
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("desired state on disk cannot be used", path=str(self._path), reason=str(error))
            return
        if file.machine != self._machine:
            _log.error("desired state on disk is another machine's", path=str(self._path), machine=file.machine)
            return
        for name, unit in file.units.items():
            if unit.hash in file.texts:
                self._units[UnitName(name)] = (unit, file.texts[unit.hash])

    def to_start(self) -> list[Saved]:
        """What may run without the store's word: everything that was launched here, but no unit with `OnLost=stop`."""
        return [
            Saved(self._placement(name, unit), text)
            for name, (unit, text) in sorted(self._units.items())
            if unit.desired is Desired.LAUNCHED and not unit.stop_when_lost
        ]

    def note(self, placement: Placement, text: str, *, stop_when_lost: bool) -> None:
        """`placement` is to be carried out here, with this text."""
        unit = _Unit(
            hash=placement.content_hash,
            desired=placement.desired,
            revision=placement.revision,
            stop_when_lost=stop_when_lost,
            image=placement.image,
        )
        if self._units.get(placement.unit) != (unit, text):
            self._units[placement.unit] = (unit, text)
            self._changed.set()

    def drop(self, unit: UnitName) -> None:
        """`unit` is not placed here."""
        if self._units.pop(unit, None):
            self._changed.set()

    def keep_only(self, units: Collection[UnitName]) -> None:
        """Nothing but `units` is placed here."""
        for unit in self._units.keys() - units:
            self.drop(unit)

    async def run(self) -> None:
        """Write what changes, for ever."""
        while self._path is not None:
            await self._changed.wait()
            await asyncio.sleep(self._delay_s)
            self._changed.clear()
            try:
                await asyncio.to_thread(replace_file, self._path, self._encoded())
            except OSError as error:
                _log.error("desired state cannot be written", path=str(self._path), reason=str(error))
                self._changed.set()
                await asyncio.sleep(_AGAIN_S)

    def _encoded(self) -> bytes:
        units: dict[str, _Unit] = {name: unit for name, (unit, _) in self._units.items()}
        texts = {unit.hash: text for unit, text in self._units.values()}
        return msgspec.json.encode(_File(machine=self._machine, units=units, texts=texts))

    def _placement(self, name: UnitName, unit: _Unit) -> Placement:
        return Placement(
            unit=name,
            machine=self._machine,
            content_hash=unit.hash,
            desired=unit.desired,
            reason="on this machine's disk",
            since=0.0,
            revision=unit.revision,
            image=unit.image,
        )
