"""A bounded record of events on disk: one JSON object a line, two files in turns, and how far the store was read.

Promises: at most about twice `MAX_BYTES`; a line that was cut off, or that another version wrote, is left out; a disk
that takes no more costs the record, never the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import msgspec
import structlog

from inaetics.files import replace_file
from inaetics.fleet.events import Event

MAX_BYTES = 4 * 1024 * 1024

_log = structlog.get_logger()
_decoder = msgspec.json.Decoder(Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Everything up to `revision` was read, and `keys` keys were there then."""

    revision: int
    keys: int


class EventFiles:
    """The files under `directory`, which is made when it is first written to."""

    def __init__(self, directory: Path) -> None:
        self._now = directory / "events.jsonl"
        self._before = directory / "events.1.jsonl"
        self._reached = directory / "reached.json"
        self._file: FileIO | None = None
        self._failing = False

    def read(self) -> list[Event]:
        """Return what is on record, oldest first."""
        return [*_events(self._before), *_events(self._now)]

    def append(self, events: Sequence[Event]) -> None:
        """Write `events` behind the others."""
        lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        try:
            file = self._open()
            file.write(lines)
            if file.tell() > MAX_BYTES:
                self.close()
                self._now.replace(self._before)
        except OSError as error:
            self.close()
            self._fails(error)
        else:
            self._failing = False

    def close(self) -> None:
        """Close what is open; the next `append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        if self._file is None:
            self._now.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self._now, "ab")
        return self._file

    def clear(self) -> None:
        """Forget everything."""
        self.close()
        for path in (self._now, self._before, self._reached):
            path.unlink(missing_ok=True)

    def read_reached(self) -> Reached | None:
        """Return how far the store was read, as far as that was written down."""
        try:
            return msgspec.json.decode(self._reached.read_bytes(), type=Reached)
        except (OSError, msgspec.MsgspecError):
            return None

    def write_reached(self, reached: Reached) -> None:
        """Write down how far the store was read."""
        try:  # not durable: this is written often, and a leader that finds none reads more again, nothing is lost
            replace_file(self._reached, msgspec.json.encode(reached), durable=False)
        except OSError as error:
            self._fails(error)

    def _fails(self, error: OSError) -> None:
        if not self._failing:
            _log.error("cannot write events down", file=str(self._now), error=str(error))
        self._failing = True


def _events(path: Path) -> Iterator[Event]:
    try:
        content = path.read_bytes()
    except OSError:  # there is none yet
        return
    for line in content.splitlines():
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError:  # cut by a power cut, or of another version
            continue
