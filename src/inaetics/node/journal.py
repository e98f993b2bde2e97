"""The agent's last log lines, by bundle, and which of them are worth keeping.

A `Journal` stands first among structlog's processors: it finds out which bundle's code says something, drops what is
below the level that somebody set for it, and remembers the rest for the shell. What is printed carries the bundle too.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import MutableMapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import structlog

from inaetics.errors import InvalidInput

KEPT = 2000
"""Lines; the oldest go first."""
LEVELS = ("debug", "info", "warning", "error", "critical")
_NUMBERS = logging.getLevelNamesMapping()
_ALIASES = {"warn": "warning", "exception": "error", "fatal": "critical", "notset": "debug"}
_CARRIERS = ("structlog", "logging", "inaetics.logs", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was said: `at` is wall-clock seconds, `bundle` empty for the agent itself."""

    at: float
    level: str
    bundle: str
    text: str


class Journal:
    """Use an instance as a structlog processor. Safe from any thread."""

    def __init__(self, level: str = "info") -> None:
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._levels = {"": _number(level)}

    def __call__(self, _: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        bundle = speaker(sys._getframe(1))
        level = _ALIASES.get(method, method)
        if _NUMBERS.get(level.upper(), logging.INFO) < self._levels.get(bundle, self._levels[""]):
            raise structlog.DropEvent
        if bundle:
            event.setdefault("bundle", bundle)
        fields = " ".join(
            f"{key}={value!r}" for key, value in event.items() if key not in ("event", "exc_info", "bundle")
        )
        line = Line(at=time.time(), level=level, bundle=str(event.get("bundle", "")), text=f"{event['event']} {fields}")
        with self._lock:
            self._lines.append(line)
        return event

    @property
    def levels(self) -> dict[str, str]:
        """The levels in force: of everything (the empty name), and of bundles that have one of their own."""
        return {name: logging.getLevelName(number).lower() for name, number in sorted(self._levels.items())}

    def set_level(self, bundle: str, level: str) -> None:
        """Drop what a bundle (or, with an empty name, everything that has no level of its own) says below `level`.

        Raises `InvalidInput` for a level that is none.
        """
        self._levels = {**self._levels, bundle: _number(level)}

    def lines(self, *, bundle: str = "", most: int = KEPT) -> list[Line]:
        """The last lines, the oldest first; of one bundle, or all."""
        with self._lock:
            found = [line for line in self._lines if not bundle or line.bundle.partition("-")[0] == bundle]
        return found[-most:] if most > 0 else []


def speaker(frame: FrameType | None) -> str:
    """The bundle whose code logs: that of the first frame that is not the logging's own. Empty when it is none."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(_CARRIERS):
            package = sys.modules.get(module.partition(".")[0])
            return str(getattr(package, "__bundle__", ""))
        frame = frame.f_back
    return ""


def _number(level: str) -> int:
    name = _ALIASES.get(level.lower(), level.lower())
    if name not in LEVELS:
        raise InvalidInput(f"{level!r} is no level of logs (there are {', '.join(LEVELS)})")
    return _NUMBERS[name.upper()]
