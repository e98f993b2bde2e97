"""What a run's units weigh together, where processor time is shared out by cgroup v1.

There a group competes with its siblings and with every process beside them. Units without limits have no group for
processor time, so they run outside ours; and ours, which holds the groups of the others, would weigh as much as one
process, whatever `CPUWeight=` says inside. So it is told to weigh what the groups in it weigh together: then each
competes with what is outside as if it were not in ours.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

_log = structlog.get_logger()

_FILE = "cpu.shares"
_MOST = 262_144
"""The kernel's limit for one group."""


class Shares:
    """Of our group `path` and those of units in it; those that are there already (a predecessor's) are known."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._of: dict[str, int] = {}
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self._of[entry.name] = _read(entry.path)

    def look(self, unit: str) -> None:
        """The unit's group was made, or told what it weighs."""
        self._of[unit] = _read(f"{self._path}/{unit}")
        self._tell()

    def forget(self, unit: str) -> None:
        """The unit's group is gone."""
        if self._of.pop(unit, None) is not None and self._of:
            self._tell()

    def _tell(self) -> None:
        total = min(sum(self._of.values()), _MOST)
        try:
            Path(self._path, _FILE).write_text(str(total))
        except OSError as error:
            _log.error(
                "weights hold among units that have one, and not beside others", path=self._path, error=str(error)
            )


def _read(directory: str) -> int:
    """What a group weighs; nothing where it cannot be read, since then it is going."""
    try:
        return int(Path(directory, _FILE).read_text())
    except OSError as error:
        _log.debug("a group's weight cannot be read", directory=directory, error=str(error))
        return 0
