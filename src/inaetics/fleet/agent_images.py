"""Finding out which image a unit runs whose digest nobody knew when it started: no registry answered then.

What the unit runs is reported, the engine's leader writes it into the unit's record, and from then on it is kept.
"""

from __future__ import annotations

import asyncio
import subprocess

import structlog

from inaetics.fleet.model import UnitName
from inaetics.supervisor.protocol import Active, UnitStatus
from inaetics.units.container import ContainerEngine
from inaetics.units.image_names import is_digest

_log = structlog.get_logger()

_WITHIN_S = 20.0


class ImageFinder:
    """Asks the container engine, once for each run of a unit."""

    def __init__(self) -> None:
        self._looked: dict[UnitName, float] = {}

    async def find(self, unit: UnitName, status: UnitStatus | None, container: str, engine: ContainerEngine) -> str:
        """The digest of what runs in `container`; empty where there is nothing new to be found.

        Docker's hosts share one store, whose images come from no registry and have no digest of one.
        """
        if status is None or status.active is not Active.ACTIVE or self._looked.get(unit) == status.since:
            return ""
        self._looked[unit] = status.since
        if engine.kind == "docker":
            return ""
        return await asyncio.to_thread(_digest, unit, container, engine)

    def forget(self, unit: UnitName) -> None:
        """The unit is not here any more."""
        self._looked.pop(unit, None)


def _digest(unit: UnitName, container: str, engine: ContainerEngine) -> str:
    command = [*engine.command, "container", "inspect", "--format", "{{.ImageDigest}}", container]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("image not found out", unit=unit, reason=str(error))
        return ""
    digest = done.stdout.strip()
    if done.returncode or not is_digest(digest):
        _log.warning("image not found out", unit=unit, reason=done.stderr.strip() or digest)
        return ""
    return digest
