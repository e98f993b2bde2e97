"""What the server knows and says: the mapping in force, each target's deployment, who asked when.

Any thread may ask; a held question is answered when its answer changes. A mapping that is refused leaves the one before
in force. Until there is a good one nothing is deployed: an agent keeps what it runs rather than lose it to a mistake.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from inaetics.bundles.deployment import deployment_for
from inaetics.bundles.exchange import Deployment
from inaetics.bundles.mapping import Mapping, parse_mapping
from inaetics.errors import InvalidInput, Unavailable
from inaetics.provisioning.repository import Repository

log = structlog.get_logger()

MAX_TARGETS = 10_000
"""Contacts remembered; the longest silent one goes first."""


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
class MappingState:
    """The mapping in force, if any; where it came from; and why a newer one was refused."""

    mapping: Mapping | None = None
    source: str = ""
    counter: int = 0
    error: str = ""


class Desk:
    """See the module."""

    def __init__(self, repository: Repository, *, now: Callable[[], float] = time.monotonic) -> None:
        self.repository = repository
        self._now = now
        self._changed = threading.Condition()
        self._state = MappingState()
        self._contacts: dict[str, Contact] = {}
        self._closed = False

    @property
    def state(self) -> MappingState:
        with self._changed:
            return self._state

    @property
    def contacts(self) -> tuple[Contact, ...]:
        with self._changed:
            return tuple(sorted(self._contacts.values(), key=lambda contact: contact.target))

    def use(self, text: str, *, source: str, counter: int) -> None:
        """Put a mapping in force, or keep the one before and remember why."""
        try:
            mapping = parse_mapping(text, self.repository.manifests, source=source)
        except InvalidInput as error:
            log.error("mapping refused, the one before stays", error=str(error))  # noqa: TRY400 - made for people
            with self._changed:
                self._state = replace(self._state, error=str(error))
                self._changed.notify_all()
            return
        log.info("mapping in force", source=source, counter=counter, rules=len(mapping.rules))
        with self._changed:
            self._state = MappingState(mapping=mapping, source=source, counter=counter)
            self._changed.notify_all()

    def deployment(self, target: str) -> Deployment:
        """What `target` shall run. Raises `Unavailable` while there is no mapping."""
        with self._changed:
            return self._deployment(target)

    def ask(self, contact: Contact, *, after: str, wait_s: float) -> Deployment | None:
        """The target's deployment as soon as its version is not `after`; None when that is not so within `wait_s`.

        Raises `Unavailable` while there is no mapping, and when the server ends.
        """
        deadline = self._now() + wait_s
        with self._changed:
            self._met(contact, 1)
            try:
                while (found := self._deployment(contact.target)).version == after:
                    if not self._changed.wait(max(deadline - self._now(), 0)):
                        return None
                return found
            finally:
                self._met(contact, -1)

    def close(self) -> None:
        """Answer every held question: there is no more to come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _deployment(self, target: str) -> Deployment:
        state = self._state
        if self._closed:
            raise Unavailable("the provisioning server is stopping: ask again, or ask another one")
        if state.mapping is None:
            raise Unavailable(f"there is no mapping: {state.error or 'it has not been read yet'}")
        return deployment_for(target, state.mapping, self.repository.archives, counter=state.counter)

    def _met(self, contact: Contact, held: int) -> None:
        before = self._contacts.pop(contact.target, contact)
        self._contacts[contact.target] = replace(contact, at=self._now(), held=max(before.held + held, 0))
        while len(self._contacts) > MAX_TARGETS:
            del self._contacts[next(iter(self._contacts))]
