"""What the supervisor writes down, so that one killed at any instant can be followed by another that knows.

`RUN/boot` names the boot and the run; `RUN/units/<name>/` holds `loaded` (the text given last), `running` (the text
of the present run) and, in turns, `record.0` and `record.1` (where the state machine stands, and which processes
there are). Texts are written beside and renamed. Records are written often, and replacing a file costs a millisecond
on ext4, which flushes it then; so the older of two files is overwritten, and the newer one that is whole counts.
Nothing is synced to the disk: the records matter only as long as the machine's boot, and outlive any process.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from binascii import crc32
from contextlib import suppress
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
    RESTART = "restart"
    """Stop, and start again once those that it needs are up again."""


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """Where one unit stands. `deadline` and `up_at` are readings of CLOCK_BOOTTIME; `job` waits for other units."""

    state: State
    system: bool = False
    unloading: bool = False
    stop_when_lost: bool = False
    job: Job | None = None
    invocation: str = ""
    main: Process | None = None
    control: Process | None = None
    deadline: float | None = None
    since: float = 0.0
    up_at: float | None = None
    pulled_at: float = 0.0
    started_at: float = 0.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class UnitFiles:
    """The files of one unit."""

    __slots__ = ("_number", "directory")

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._number = 0

    def make(self) -> None:
        """Make the directory."""
        with suppress(FileExistsError):
            os.mkdir(self.directory, 0o700)

    def write_text(self, which: str, text: str) -> None:
        """Write `loaded` or `running`."""
        _replace(f"{self.directory}/{which}", text.encode())

    def read_text(self, which: str) -> str | None:
        """Return `loaded` or `running`, or None when it was never written."""
        content = _content(f"{self.directory}/{which}")
        return content.decode() if content is not None else None

    def write(self, record: Record) -> None:
        """Write the record. Raises OSError, and then the one before still counts."""
        number = self._number + 1
        body = b"%d %s" % (number, _encoder.encode(record))
        _overwrite(f"{self.directory}/record.{number % 2}", b"%08x %s\n" % (crc32(body), body))
        self._number = number

    def read(self) -> Record | None:
        """Return the record, or None when none was ever written. Raises `InvalidInput` when it makes no sense."""
        found = [whole for slot in (0, 1) if (whole := _whole(_content(f"{self.directory}/record.{slot}"))) is not None]
        if not found:
            return None
        self._number, encoded = max(found)
        try:
            return _decoder.decode(encoded)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"cannot read the record in {self.directory}: {error}") from error

    def remove(self) -> None:
        """Forget the unit."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _whole(content: bytes | None) -> tuple[int, bytes] | None:
    """Return number and record of a file; None when its writer was killed before the line was complete."""
    line, end, _older = (content or b"").partition(b"\n")
    checksum, _, body = line.partition(b" ")
    number, _, encoded = body.partition(b" ")
    if not end or checksum != b"%08x" % crc32(body):
        return None
    return int(number), encoded


class Records:
    """The run directory's records."""

    def __init__(self, run_directory: Path) -> None:
        self._boot = run_directory / "boot"
        self._units = run_directory / "units"
        self.deadline = run_directory / "deadline"

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
        _replace(str(self._boot), msgspec.json.encode(Boot(boot=boot_id(), run=run)))

    def clear(self) -> None:
        """Remove every record: the next start is a boot."""
        self._boot.unlink(missing_ok=True)
        self.deadline.unlink(missing_ok=True)
        shutil.rmtree(self._units, ignore_errors=True)

    def names(self) -> list[str]:
        """Return the units on record."""
        return sorted(os.listdir(self._units))

    def of(self, name: str) -> UnitFiles:
        """Return the files of a unit; `name` was validated."""
        return UnitFiles(f"{self._units}/{name}")


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _replace(path: str, content: bytes) -> None:
    """Write all of a file or nothing."""
    beside = f"{path}.new"
    _write(beside, os.O_TRUNC, content)
    os.rename(beside, path)


def _overwrite(path: str, content: bytes) -> None:
    """Write the beginning of a file; what is behind stays."""
    _write(path, 0, content)


def _write(path: str, flags: int, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(fd)
