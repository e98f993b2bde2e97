"""What the server knows and says: the version in force, each target's deployment, who asked when.

Any thread may ask; a held question is answered when its answer changes. A mapping that is refused leaves the one before
in force. Until there is a good one nothing is deployed: an agent keeps what it runs rather than lose it to a mistake.
Nor is a deployment given before the server has every archive of it and found it good: an agent that is told to change
can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from inaetics.bundles.deployment import content_of, counter_of, deployment_for
from inaetics.bundles.exchange import Deployment, Report
from inaetics.bundles.given import used
from inaetics.bundles.records import Artifact, Entry, Version
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolved
from inaetics.errors import InvalidInput, NotFound, Unavailable

log = structlog.get_logger()

MAX_TARGETS = 10_000
"""Contacts remembered; the longest silent one goes first."""

EMPTY = (
    "there is nothing to deploy yet: no mapping was applied (push bundles, then apply one: "
    "inaetics bundle push --demonstrator; inaetics deploy apply FILE)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """An agent's last question: what it ran then, and why it does not run what it was given."""

    target: str
    where: str
    """Its host, as it says itself: on one machine every connection comes from 127.0.0.1."""
    running: str
    error: str
    at: float
    """Seconds of the monotonic clock."""
    held: int = 0
    """Questions that are being held: more than none says that the agent is there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is in force, if anything, with the archives it names; and why a newer one was refused."""

    version: Version | None = None
    """With what each rule gives."""
    needed: tuple[Artifact, ...] = ()
    repository: Repository = field(default_factory=Repository)
    error: str = ""

    @property
    def counter(self) -> int:
        return self.version.version if self.version else 0


class Desk:
    """See the module. `record` is told what happened to a target; it must not block."""

    def __init__(
        self,
        *,
        record: Callable[[str, Entry], None] = lambda target, entry: None,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._record = record
        self._now = now
        self._clock = clock
        self._changed = threading.Condition()
        self._shown = threading.Condition()
        """Taken inside `_changed`, never around it: agents and pages wait for different things."""
        self._state = State(error=EMPTY)
        self._known = Repository()
        self._ready: frozenset[str] = frozenset()
        self._troubles: dict[str, str] = {}
        self._contacts: dict[str, Contact] = {}
        self._given: dict[str, str] = {}
        self._closed = False
        self._revision = 0

    @property
    def state(self) -> State:
        with self._changed:
            return self._state

    @property
    def known(self) -> Repository:
        """Every archive there is, deployed or not."""
        with self._changed:
            return self._known

    @property
    def contacts(self) -> tuple[Contact, ...]:
        with self._changed:
            return tuple(sorted(self._contacts.values(), key=lambda contact: contact.target))

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why archives that are needed cannot be given, in order."""
        with self._changed:
            return tuple(self._troubles[key] for key in sorted(self._troubles))

    def use(self, version: Version | None, known: Repository) -> None:
        """Put a version in force, or keep the one before and remember why."""
        if version is None:
            self._set(replace(self.state, error=EMPTY), known)
            return
        try:
            found = resolved(version, known)
            needed = tuple(known.find(pinned) for pinned in used(found))
        except (InvalidInput, NotFound) as error:
            self._set(replace(self.state, error=str(error)), known)
            log.error("mapping refused, the one before stays", error=str(error))  # noqa: TRY400 - made for people
            return
        before = self.state.version
        self._set(State(version=found, needed=needed, repository=known), known)
        if found != before:
            log.info("mapping in force", version=version.version, by=version.by, rules=len(found.rules or ()))

    def _set(self, state: State, known: Repository) -> None:
        with self._changed:
            self._state, self._known = state, known
            needed = {artifact.sha256 for artifact in state.needed}
            self._troubles = {key: words for key, words in self._troubles.items() if key in needed}
            self._changes()

    def missing(self) -> tuple[Artifact, ...]:
        """Artifacts that somebody may be given and that are not `ready` yet."""
        with self._changed:
            return tuple(artifact for artifact in self._state.needed if artifact.sha256 not in self._ready)

    def staged(self, ready: frozenset[str], troubles: dict[str, str]) -> None:
        """Say which archives (by sha256) can be given, and why others cannot."""
        with self._changed:
            if (ready, troubles) != (self._ready, self._troubles):
                self._ready, self._troubles = ready, dict(troubles)
                self._changes()

    def deployment(self, target: str) -> Deployment:
        """What `target` shall run, ready to be given or not. Raises `Unavailable` while there is no mapping."""
        with self._changed:
            return self._deployment(target)

    def ask(self, contact: Contact, *, after: str, wait_s: float) -> Deployment | None:
        """The target's deployment as soon as it is another than `after`; None when that is not so within `wait_s`.

        Who runs other bundles than it should, because it could not start them, is given a new version with the same
        bundles too. Raises `Unavailable` while there is nothing to give to who has nothing, and when the server ends.
        """
        deadline = self._now() + wait_s
        with self._changed:
            self._met(contact, 1)
            try:
                while (found := self._news(contact, after)) is None:
                    if not self._changed.wait(max(deadline - self._now(), 0)):
                        self._check_patient(contact.target, after)
                        return None
            finally:
                self._met(contact, -1)
        self._give(contact, found)
        return found

    def report(self, target: str, report: Report, *, where: str) -> None:
        """Take down what came of a deployment."""
        log.info("report", target=target, version=report.version, state=report.state, error=report.error)
        entry = Entry(
            at=self._clock(),
            event=report.state,
            version=report.version,
            by=self._by(report.version),
            started=report.started,
            stopped=report.stopped,
            error=report.error,
            seconds=round(report.seconds, 3),
            where=where,
        )
        self._record(target, entry)

    def wait(self, after: int, wait_s: float) -> int:
        """The number of what is known now, as soon as it is another than `after`, or the same after `wait_s`."""
        deadline = self._now() + wait_s
        with self._shown:
            while self._revision == after and not self._closed and (left := deadline - self._now()) > 0:
                self._shown.wait(left)
            return self._revision

    def touch(self) -> None:
        """Something changed that pages show, and agents do not care for."""
        with self._shown:
            self._revision += 1
            self._shown.notify_all()

    def close(self) -> None:
        """Answer every held question: there is no more to come."""
        with self._changed:
            self._closed = True
            self._changes()

    def _changes(self) -> None:
        self._changed.notify_all()
        self.touch()

    def _news(self, contact: Contact, after: str) -> Deployment | None:
        """What is new to who has `after`; None when nothing is, or when it cannot be given yet."""
        if self._state.version is None and after and not self._closed:
            return None
        try:
            found = self._deployment(contact.target)
        except Unavailable:
            if after and not self._closed:
                return None
            raise
        if found.version == after or not all(bundle.sha256 in self._ready for bundle in found.bundles):
            return None
        runs_it = content_of(contact.running or after) == found.content
        return None if runs_it and content_of(after) == found.content else found

    def _check_patient(self, target: str, after: str) -> None:
        """Who runs something may go on with it; raise for who has nothing, saying what is in the way."""
        if after:
            return
        missing = [bundle.sha256 for bundle in self._deployment(target).bundles if bundle.sha256 not in self._ready]
        words = [self._troubles[sha256] for sha256 in missing if sha256 in self._troubles]
        raise Unavailable("; ".join(words) or "the bundles are being fetched from the registry: ask again")

    def _deployment(self, target: str) -> Deployment:
        state = self._state
        if self._closed:
            raise Unavailable("the provisioning server is stopping: ask again, or ask another one")
        if state.version is None:
            raise Unavailable(f"there is no mapping: {state.error or 'it has not been read yet'}")
        return deployment_for(target, state.version, state.repository)

    def _give(self, contact: Contact, found: Deployment) -> None:
        if self._given.get(contact.target) == found.version:
            return
        self._given[contact.target] = found.version
        bundles = tuple(f"{bundle.name}-{bundle.version}" for bundle in found.bundles)
        by = self._by(found.version)
        entry = Entry(
            at=self._clock(), event="given", version=found.version, by=by, bundles=bundles, where=contact.where
        )
        self._record(contact.target, entry)

    def _by(self, version: str) -> str:
        in_force = self.state.version
        return in_force.by if in_force and in_force.version == counter_of(version) else ""

    def _met(self, contact: Contact, held: int) -> None:
        before = self._contacts.pop(contact.target, contact)
        self._contacts[contact.target] = replace(contact, at=self._now(), held=max(before.held + held, 0))
        while len(self._contacts) > MAX_TARGETS:
            gone = next(iter(self._contacts))
            del self._contacts[gone]
            self._given.pop(gone, None)
        self.touch()
