"""Which endpoints of others to import, from what discovery says and from what providers show. Pure.

Discovery says what was announced; a provider shows whether it still exports an endpoint. Neither is the whole truth: a
lease may end while its agent lives and answers, and an agent may be dead long before its lease ends. So

* what is announced is imported, unless its provider is dead; then it is imported again when the provider shows it;
* what is announced no more is dropped, unless the provider still shows it; then it stays until it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from pelix.rsa.endpointdescription import EndpointDescription
from pelix.rsa.providers.discovery import EndpointEvent

from inaetics.node.remote.reachability import Presence


@dataclass(slots=True)
class _Known:
    announced: EndpointDescription | None
    imported: EndpointDescription | None


class Belief:
    """What is known of each endpoint. Methods return what listeners are to be told."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def announced(self, endpoint: EndpointDescription) -> list[EndpointEvent]:
        """Discovery says that it is there, for the first time or with other properties."""
        known = self._known.setdefault(endpoint.get_id(), _Known(None, None))
        known.announced = endpoint
        return self._import(known, endpoint)

    def withdrawn(self, name: str) -> EndpointDescription | None:
        """Discovery says that it is gone; returns the endpoint whose provider is to be asked, if any."""
        known = self._known.get(name)
        if known is None:
            return None
        known.announced = None
        if known.imported is None:
            del self._known[name]
        return known.imported

    def shown(self, name: str, presence: Presence) -> list[EndpointEvent]:
        """What the provider shows, or that it shows nothing."""
        known = self._known.get(name)
        if known is None:
            return []
        if known.announced is not None:
            if presence is Presence.EXPORTED:
                return self._import(known, known.announced)
            return self._drop(known) if presence is Presence.DEAD else []
        if presence is Presence.EXPORTED:
            return []
        del self._known[name]
        return self._drop(known)

    def of(self, framework: str) -> list[EndpointDescription]:
        """What is imported from a framework."""
        return [
            known.imported
            for known in self._known.values()
            if known.imported is not None and known.imported.get_framework_uuid() == framework
        ]

    @property
    def doubtful(self) -> list[EndpointDescription]:
        """Where discovery and provider do not agree: their providers are to be asked again."""
        found = []
        for known in self._known.values():
            if (known.announced is None) != (known.imported is None):
                found += [endpoint for endpoint in (known.announced, known.imported) if endpoint is not None]
        return found

    @staticmethod
    def _import(known: _Known, endpoint: EndpointDescription) -> list[EndpointEvent]:
        before, known.imported = known.imported, endpoint
        if before is None:
            return [EndpointEvent(EndpointEvent.ADDED, endpoint)]
        if before.get_properties() == endpoint.get_properties():
            return []
        return [EndpointEvent(EndpointEvent.MODIFIED, endpoint)]

    @staticmethod
    def _drop(known: _Known) -> list[EndpointEvent]:
        before, known.imported = known.imported, None
        return [EndpointEvent(EndpointEvent.REMOVED, before)] if before is not None else []
