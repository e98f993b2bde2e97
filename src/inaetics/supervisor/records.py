"""What the supervisor writes down, so that one killed at any instant can be followed by another that knows.

`RUN/boot` names the boot and the run. `RUN/records` (see `record_log`) holds for each unit `loaded` (the text given
last), `running` (the text of the present run) and `record` (where the state machine stands, which processes there
are, and which one is about to be made).
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from pathlib import Path

import msgspec

from inaetics.errors import InvalidInput
from inaetics.files import replace_file
from inaetics.supervisor.procfs import Process, boot_id
from inaetics.supervisor.record_log import RecordLog
from inaetics.supervisor.values import Role, State


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


class Spawning(msgspec.Struct, kw_only=True, frozen=True):
    """A process that was about to be made: what for, and the token in its environment."""

    role: Role
    token: str


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """Where one unit stands. `deadline` and `up_at` are readings of CLOCK_BOOTTIME; `job` waits for other units.

    `spawning` stands until it is known which process it became, or that it became none.
    """

    state: State
    system: bool = False
    unloading: bool = False
    stop_when_lost: bool = False
    job: Job | None = None
    invocation: str = ""
    main: Process | None = None
    control: Process | None = None
    spawning: Spawning | None = None
    deadline: float | None = None
    since: float = 0.0
    up_at: float | None = None
    pulled_at: float = 0.0
    started_at: float = 0.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)

_THE_LOADED = b"="
"""Stands for the text loaded last, which most runs have."""


class UnitRecords:
    """What is written down of one unit."""

    __slots__ = ("_log", "_name")

    def __init__(self, log: RecordLog, name: str) -> None:
        self._log = log
        self._name = name

    def load(self, text: str) -> None:
        """Write the text loaded last. Raises OSError."""
        before = self._log.get(self._name, "loaded")
        if before is not None and self._log.get(self._name, "running") == _THE_LOADED:
            self._log.put(self._name, "running", before)
        self._log.put(self._name, "loaded", _encoder.encode(text))

    def run(self) -> None:
        """Write that the text loaded last is that of the present run. Raises OSError."""
        self._log.put(self._name, "running", _THE_LOADED)

    def read_text(self, which: str) -> str | None:
        """Return `loaded` or `running`, or None when it was never written."""
        content = self._log.get(self._name, which)
        if content == _THE_LOADED:
            content = self._log.get(self._name, "loaded")
        return None if content is None else msgspec.json.decode(content, type=str)

    def write(self, record: Record) -> None:
        """Write the record. Raises OSError, and then the one before still counts."""
        self._log.put(self._name, "record", _encoder.encode(record))

    def read(self) -> Record | None:
        """Return the record, or None when none was ever written. Raises `InvalidInput` when it makes no sense."""
        encoded = self._log.get(self._name, "record")
        if encoded is None:
            return None
        try:
            return _decoder.decode(encoded)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"cannot read the record of {self._name}: {error}") from error

    def remove(self) -> None:
        """Forget the unit. Raises OSError."""
        self._log.drop(self._name)


class Records:
    """The run directory's records."""

    def __init__(self, run_directory: Path) -> None:
        self._boot = run_directory / "boot"
        self._log_path = run_directory / "records"
        self._log = RecordLog(str(self._log_path))
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
        self._log.begin()
        return uuid.uuid4().hex[:16]

    def commit_run(self, run: str) -> None:
        """Write the run down: from now on a restarted supervisor continues it."""
        content = msgspec.json.encode(Boot(boot=boot_id(), run=run))
        replace_file(self._boot, content, durable=False)  # nothing of it counts after a boot

    def go_on(self) -> None:
        """Take up what was written down in the run that is continued."""
        self._log.open()

    def clear(self) -> None:
        """Remove every record: the next start is a boot."""
        self._log.close()
        for path in (self._boot, self.deadline, self._log_path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files."""
        self._log.close()

    def names(self) -> list[str]:
        """Return the units on record."""
        return self._log.names()

    def of(self, name: str) -> UnitRecords:
        """Return what is written down of a unit; `name` was validated."""
        return UnitRecords(self._log, name)
