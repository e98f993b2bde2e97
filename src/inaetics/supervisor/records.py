"""What the supervisor writes down, so that one killed at any instant can be followed by another that knows.

`RUN/boot` names the boot and the run; `RUN/units/<name>/` holds `loaded` (the text given last), `running` (the text
of the present run) and `record` (where the state machine stands, and which processes there are). A file is written
beside and renamed, so that a reader finds all of the old or all of the new. Nothing is synced to the disk: the
records matter only as long as the machine's boot, and survive the end of any process.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from enum import StrEnum
from pathlib import Path

import msgspec

from inaetics.errors import InvalidInput
from inaetics.supervisor.procfs import Process, boot_id
from inaetics.supervisor.values import State


class Boot(msgspec.Struct, kw_only=True, frozen=True):
    """Which boot of the machine a run directory belongs to, and its own identity."""

    boot: str
    run: str


class Job(StrEnum):
    """What a unit is to do once others have done their part."""

    START = "start"
    STOP = "stop"


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """Where one unit stands. `deadline` is a reading of CLOCK_BOOTTIME; `job` waits for other units."""

    version: int = 1
    state: State
    system: bool = False
    unloading: bool = False
    job: Job | None = None
    invocation: str = ""
    main: Process | None = None
    control: Process | None = None
    deadline: float | None = None
    since: float = 0.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class UnitFiles:
    """The files of one unit."""

    __slots__ = ("directory",)

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self) -> None:
        """Make the directory."""
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def write_text(self, which: str, text: str) -> None:
        """Write `loaded` or `running`."""
        _replace(self.directory / which, text.encode())

    def read_text(self, which: str) -> str | None:
        """Return `loaded` or `running`, or None when it was never written."""
        try:
            return (self.directory / which).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, record: Record) -> None:
        """Write the record."""
        _replace(self.directory / "record", _encoder.encode(record))

    def read(self) -> Record | None:
        """Return the record, or None when there is none. Raises `InvalidInput` for one that cannot be understood."""
        try:
            return _decoder.decode((self.directory / "record").read_bytes())
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"cannot read the record in {self.directory}: {error}") from error

    def remove(self) -> None:
        """Forget the unit."""
        shutil.rmtree(self.directory, ignore_errors=True)


class Records:
    """The run directory's records."""

    def __init__(self, run_directory: Path) -> None:
        self._boot = run_directory / "boot"
        self._units = run_directory / "units"

    def previous_run(self) -> str | None:
        """Return the run to be continued; None after a boot of the machine or of the host."""
        try:
            boot = msgspec.json.decode(self._boot.read_bytes(), type=Boot)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return boot.run if boot.boot == boot_id() else None

    def begin_run(self) -> str:
        """Forget everything and return the identity of a new run; it counts once `commit_run` was called."""
        self.clear()
        self._units.mkdir(mode=0o700, parents=True)
        return uuid.uuid4().hex[:16]

    def commit_run(self, run: str) -> None:
        """Write the run down: from now on a restarted supervisor continues it."""
        _replace(self._boot, msgspec.json.encode(Boot(boot=boot_id(), run=run)))

    def clear(self) -> None:
        """Remove every record: the next start is a boot."""
        self._boot.unlink(missing_ok=True)
        shutil.rmtree(self._units, ignore_errors=True)

    def names(self) -> list[str]:
        """Return the units on record."""
        return sorted(os.listdir(self._units))

    def of(self, name: str) -> UnitFiles:
        """Return the files of a unit; `name` was validated."""
        return UnitFiles(self._units / name)


def _replace(path: Path, content: bytes) -> None:
    beside = f"{path}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), beside)
    finally:
        os.close(fd)
    os.rename(beside, path)
