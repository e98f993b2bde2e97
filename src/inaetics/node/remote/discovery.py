"""Tells other agents what this one exports, and learns what they do, through a store of keys (`directory`).

An exported endpoint is the key ``/inaetics/discovery/<framework>/<endpoint>``, which stands while its agent lives; its
value is JSON: ``{"version": 1, "properties": {...}}`` with the endpoint's properties. So an endpoint is known
everywhere milliseconds after it was written, and gone when its agent withdraws it or has died.

While the store is away nothing is added and nothing removed: imports go on working. An endpoint whose key is gone stays
imported while its provider answers for it, and one whose provider is dead goes before its key (`belief`), when the
distribution provider can ask (`reachability`).

Services are never called on the directory's thread: what changed goes to a thread of its own, in order.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import structlog
from pelix.constants import OSGI_FRAMEWORK_UUID
from pelix.framework import Framework
from pelix.rsa import get_string_plus_property_value
from pelix.rsa.endpointdescription import EndpointDescription
from pelix.rsa.providers.discovery import (
    SERVICE_ENDPOINT_ADVERTISER,
    SERVICE_ENDPOINT_EVENT_LISTENER,
    EndpointAdvertiser,
    EndpointEvent,
    EndpointEventListener,
)

from inaetics.node.remote.belief import Belief
from inaetics.node.remote.directory import Directory, Standing
from inaetics.node.remote.reachability import SERVICE_REACHABILITY, SERVICE_SUSPICIONS, Presence, Suspicions
from inaetics.node.remote.workers import Workers
from inaetics.override import override

log = structlog.get_logger()

PREFIX = "/inaetics/discovery/"
LEASE_TTL_S = 5.0
LATE_S = 10.0
"""How long an export may be unknown to others before that is told: another lease takes some seconds."""
VERSION = 1
PROBE_S = 1.0
"""How long a provider has to show that it still exports an endpoint."""
DOUBT_S = 1.0
"""How often a provider is asked while discovery and it do not agree."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The value of an endpoint's key. Written by a peer of any version: what is unknown is ignored."""

    version: int = VERSION
    properties: dict[str, Any]


def encode_endpoint(properties: Mapping[str, Any]) -> bytes:
    """Properties as JSON; what JSON has no form for is written as text."""
    return msgspec.json.encode(Record(properties=dict(properties)), enc_hook=str)


def decode_endpoint(value: bytes) -> EndpointDescription | None:
    """The endpoint of a key's value, or None (and a warning) for one that is not understood."""
    try:
        return EndpointDescription.fromprops(msgspec.json.decode(value, type=Record).properties)
    except (msgspec.DecodeError, ValueError, TypeError, KeyError) as error:
        log.warning("endpoint not understood", error=str(error))
        return None


class Discovery(Suspicions):
    """Announces and finds endpoints of one framework, in `directory`, which it is made for before that starts."""

    def __init__(self, framework: Framework, directory: Directory, *, lease_ttl_s: float = LEASE_TTL_S) -> None:
        self._context = framework.get_bundle_context()
        self._me = str(framework.get_property(OSGI_FRAMEWORK_UUID))
        self._keys = directory.stand(f"{PREFIX}{self._me}/", ttl_s=lease_ttl_s)
        self._advertiser = _Advertiser(self._keys)
        self._found = _Found(self._me)
        self._belief = Belief()
        self._news: queue.SimpleQueue[_News | None] = queue.SimpleQueue()
        self._telling = threading.Thread(target=self._tell, name="discovery", daemon=True)
        self._asking = Workers(8, "discovery asks")
        self._asked: set[str] = set()
        self._suspected: set[str] = set()
        self._registrations: list[Any] = []
        directory.follow(PREFIX, self)

    def start(self) -> None:
        """Take what Pelix exports from now on, and tell it what was found."""
        for name, service in ((SERVICE_ENDPOINT_ADVERTISER, self._advertiser), (SERVICE_SUSPICIONS, self)):
            self._registrations.append(self._context.register_service(name, service, {}))
        self._telling.start()

    def stop(self) -> None:
        """Idempotent. The keys go when the directory stops."""
        if self._registrations:
            while self._registrations:
                self._registrations.pop().unregister()
            self._asking.close()
            self._news.put(None)

    @property
    def unannounced(self) -> int:
        """How many exports are not in the store as they shall be, if some have not been for `LATE_S`."""
        return self._keys.missing(LATE_S)

    @override
    def suspect(self, framework: str) -> None:
        if framework not in self._suspected:  # calls fail many times a second
            self._suspected.add(framework)
            self._news.put(partial(self._ask_about, framework))

    def listed(self, items: Mapping[str, bytes]) -> None:
        """The directory tells what there is."""
        self._learnt(self._found.replace(items))

    def changed(self, key: str, value: bytes | None) -> None:
        """The directory tells of one key."""
        self._learnt(self._found.change(key, value))

    def _learnt(self, events: Iterable[EndpointEvent]) -> None:
        for news in events:
            endpoint = news.get_endpoint_description()
            gone = news.get_type() == EndpointEvent.REMOVED
            self._news.put(partial(self._withdrawn if gone else self._belief.announced, endpoint))

    def _tell(self) -> None:
        while True:
            try:
                news = self._news.get(timeout=DOUBT_S if self._belief.doubtful else None)
            except queue.Empty:
                self._ask(self._belief.doubtful)
                continue
            if news is None:
                return
            for event in news():
                self._tell_listeners(event)

    def _withdrawn(self, endpoint: EndpointDescription) -> list[EndpointEvent]:
        imported = self._belief.withdrawn(endpoint.get_id())
        if imported is not None:
            self._ask([imported])
        return []

    def _ask_about(self, framework: str) -> list[EndpointEvent]:
        self._suspected.discard(framework)
        self._ask(self._belief.of(framework))
        return []

    def _ask(self, endpoints: Iterable[EndpointDescription]) -> None:
        """Let their providers show them; what they show comes as news."""
        for endpoint in endpoints:
            name = endpoint.get_id()
            if name not in self._asked:
                self._asked.add(name)
                if not self._asking.submit(partial(self._ask_one, endpoint)):
                    self._asked.discard(name)  # asked when there is a thread: it is in doubt until then

    def _ask_one(self, endpoint: EndpointDescription) -> None:
        reference: Any = self._context.get_service_reference(SERVICE_REACHABILITY)
        if reference is None:
            presence = Presence.SILENT  # of another provider: nobody can say more than discovery
        else:
            presence = self._context.get_service(reference).presence(endpoint, within_s=PROBE_S)
        self._news.put(partial(self._shown, endpoint.get_id(), presence))

    def _shown(self, name: str, presence: Presence) -> list[EndpointEvent]:
        self._asked.discard(name)
        return self._belief.shown(name, presence)

    def _tell_listeners(self, event: EndpointEvent) -> None:
        endpoint = event.get_endpoint_description()
        log.info(
            "endpoint",
            change=_WORDS[event.get_type()],
            interfaces=endpoint.get_interfaces(),
            at=endpoint.get_container_id()[1],
        )
        for listener, matched in self._listeners(endpoint):
            try:
                listener.endpoint_changed(event, matched)
            except Exception:
                log.exception("endpoint listener failed", endpoint=endpoint.get_id())

    def _listeners(self, endpoint: EndpointDescription) -> list[tuple[EndpointEventListener, str]]:
        """Who wants to know of `endpoint`, with the filter that says so: topology managers are such listeners."""
        found = []
        references: Iterable[Any] = self._context.get_all_service_references(SERVICE_ENDPOINT_EVENT_LISTENER) or ()
        for reference in references:
            scopes = get_string_plus_property_value(reference.get_property("endpoint.listener.scope")) or []
            matched = next((scope for scope in scopes if endpoint.matches(scope)), None)
            if matched is not None:
                found.append((self._context.get_service(reference), matched))
        return found


_News = Callable[[], list[EndpointEvent]]
"""What changes the belief, on the telling thread."""
_WORDS = {EndpointEvent.ADDED: "found", EndpointEvent.REMOVED: "gone", EndpointEvent.MODIFIED: "changed"}


class _Advertiser(EndpointAdvertiser):
    """What shall be in the store. Pelix changes it on any thread; the parent's lock is held by all callers."""

    def __init__(self, keys: Standing) -> None:
        super().__init__()
        self._keys = keys

    @override
    def _advertise(self, endpoint_description: EndpointDescription) -> bool:
        key = f"{self._keys.prefix}{endpoint_description.get_id()}"
        self._keys.want(self._keys.wanted | {key: encode_endpoint(endpoint_description.get_properties())})
        return True

    @override
    def _update(self, endpoint_description: EndpointDescription) -> bool:
        return self._advertise(endpoint_description)

    @override
    def _unadvertise(self, advertised: tuple[EndpointDescription, Any]) -> bool:
        gone = f"{self._keys.prefix}{advertised[0].get_id()}"
        self._keys.want({key: value for key, value in self._keys.wanted.items() if key != gone})
        return True


class _Found:
    """Endpoints of other frameworks as the store has them, and what a change means: what is the same is no news."""

    def __init__(self, me: str) -> None:
        self._mine = f"{PREFIX}{me}/"
        self._known: dict[str, tuple[bytes, EndpointDescription]] = {}

    def replace(self, items: Mapping[str, bytes]) -> list[EndpointEvent]:
        news = [event for key in sorted(self._known.keys() - items.keys()) for event in self.change(key, None)]
        return news + [event for key, value in items.items() for event in self.change(key, value)]

    def change(self, key: str, value: bytes | None) -> list[EndpointEvent]:
        if key.startswith(self._mine):
            return []
        before = self._known.get(key)
        if before is not None and before[0] == value:
            return []
        endpoint = decode_endpoint(value) if value is not None else None
        if endpoint is None:
            self._known.pop(key, None)
            return [EndpointEvent(EndpointEvent.REMOVED, before[1])] if before else []
        assert value is not None
        self._known[key] = (value, endpoint)
        return [EndpointEvent(EndpointEvent.MODIFIED if before else EndpointEvent.ADDED, endpoint)]
