"""The text of one unit: what was loaded last, for the next start, and what the present run was started with.

Each is read for the host as it is: a text with specifiers is read again when the host says other things about itself.
What is given is on record before it counts, so that a successor has it too.
"""

from __future__ import annotations

import hashlib

import structlog

from inaetics.errors import InaeticsError, Unavailable
from inaetics.supervisor.environment import HostEnvironment
from inaetics.supervisor.records import UnitRecords
from inaetics.supervisor.specs import read_spec
from inaetics.units.service_model import ServiceSpec
from inaetics.units.specifiers import Host

_log = structlog.get_logger()


class UnitTexts:
    """The texts of the unit `name`. `hash` is of the one loaded last, `run_hash` of the present or last run's."""

    def __init__(self, name: str, records: UnitRecords, host: HostEnvironment) -> None:
        self.hash = ""
        self.run_hash = ""
        self.running: ServiceSpec | None = None
        """What the present run, or the last, was started with."""
        self._name = name
        self._records = records
        self._host = host
        self._text = ""
        self._running_text: str | None = None
        self._loaded: ServiceSpec | None = None
        self._read_for: Host | None = None

    @property
    def loaded(self) -> ServiceSpec:
        """What was loaded last: the next start's."""
        if self._loaded is None:
            raise AssertionError(f"{self._name} was never loaded")
        return self._loaded

    @property
    def present(self) -> ServiceSpec:
        """What holds for what runs now; before the first start, the next one's."""
        return self.running or self.loaded

    def is_loaded(self, text: str) -> bool:
        """Whether `text` was loaded last, and would be read the same today."""
        return text == self._text and self._identity() == self._read_for

    def load(self, text: str) -> bool:
        """Take `text` for the next start; returns whether it is another one than before.

        Raises `UnitFileError` or `InvalidInput`, and then nothing changed.
        """
        host = self._identity()
        spec = read_spec(self._name, text, host)
        is_new = text != self._text
        if is_new:
            self._records.load(text)
        self._take(text, spec, host)
        return is_new

    def of_today(self) -> ServiceSpec:
        """The next start's, read again when the host says other things about itself than at the last load."""
        host = self._identity()
        if host != self._read_for:
            self._loaded, self._read_for = read_spec(self._name, self._text, host), host
        return self.loaded

    def note_run(self) -> None:
        """Put on record that the text loaded last is the present run's. Raises `Unavailable`."""
        if self._text != self._running_text:
            try:
                self._records.run()
            except OSError as error:
                raise Unavailable(unwritten(self._name)) from error

    def run(self, spec: ServiceSpec) -> None:
        """From now on the text loaded last, read as `spec`, is the present run's."""
        self.running, self._running_text, self.run_hash = spec, self._text, self.hash

    def restore(self, text: str, running_text: str | None) -> None:
        """Take over from another supervisor what is on record."""
        try:
            host = self._identity()
        except InaeticsError as error:
            _log.error("cannot read the host's environment", unit=self._name, error=str(error))
            host = self._host.without_file()
        self._take(text, self._read_or_plain(text, host), None)
        self._running_text = running_text
        if running_text is not None:
            self.running = self._read_or_plain(running_text, host)
            self.run_hash = _hash_of(running_text)

    def _take(self, text: str, spec: ServiceSpec, read_for: Host | None) -> None:
        self._text, self._loaded, self._read_for = text, spec, read_for
        self.hash = _hash_of(text)

    def _identity(self) -> Host:
        return self._host.facts()

    def _read_or_plain(self, text: str, host: Host) -> ServiceSpec:
        """Read a text that an earlier supervisor understood; if this one does not, what runs can still be stopped."""
        try:
            return read_spec(self._name, text, host)
        except InaeticsError as error:
            _log.error("cannot read the unit file of a unit on record", unit=self._name, error=str(error))
            return ServiceSpec(name=self._name)


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def unwritten(name: str) -> str:
    """What to say when a unit's record cannot be written."""
    return f"cannot write the record of {name}: is the disk full?"
