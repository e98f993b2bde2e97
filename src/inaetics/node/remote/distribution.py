"""Makes Pelix's Remote Service Admin export and import services over our wire.

A framework has one container that exports and one that imports. The exporter's server listens on the agent's own
address at any free port; an endpoint says where, in its container id: ``inaetics://127.17.8.101:40123``.

A service that is withdrawn takes no more calls, and its bundle goes on stopping when the calls under way have ended, or
after `DRAIN_S`, which all services of a bundle have together; who replaces bundles may wait longer (`inside`). Until
importers know, calls for it go to its successor (`successors`), if there is one.

The providers are plain services, not components: iPOPO keeps a parent's callbacks beside overriding ones of another
name, and nothing here needs injection. Methods that Pelix calls override the parents' by exactly their names, most of
which begin with an underscore: that is how Pelix' base classes want to be used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from pelix.constants import OSGI_FRAMEWORK_UUID
from pelix.framework import BundleContext, Framework
from pelix.internals.registry import ServiceReference
from pelix.ipopo.constants import IPOPO_INSTANCE_NAME
from pelix.rsa import (
    ECF_SERVICE_EXPORTED_ASYNC_INTERFACES,
    OSGI_ASYNC_INTENT,
    OSGI_BASIC_INTENT,
    OSGI_BASIC_TIMEOUT_INTENT,
    OSGI_CONFIDENTIAL_INTENT,
    RemoteServiceError,
)
from pelix.rsa.endpointdescription import EndpointDescription
from pelix.rsa.providers.distribution import (
    DISTRIBUTION_PROVIDER_CONTAINER_PROP,
    SERVICE_EXPORT_DISTRIBUTION_PROVIDER,
    SERVICE_IMPORT_DISTRIBUTION_PROVIDER,
    Container,
    DistributionProvider,
    ExportContainer,
    ExportDistributionProvider,
    ImportContainer,
    ImportDistributionProvider,
)

from inaetics.node import api
from inaetics.node.remote.client import Peer, Peers
from inaetics.node.remote.endpoints import Endpoints
from inaetics.node.remote.proxies import Proxy, RemoteService
from inaetics.node.remote.reachability import SERVICE_REACHABILITY, SERVICE_SUSPICIONS, Presence, Reachability
from inaetics.node.remote.server import Server
from inaetics.node.remote.successors import Successors
from inaetics.node.remote.tls import TlsContexts
from inaetics.override import override

log = structlog.get_logger()

NAMESPACE = "inaetics.remote"
CLIENT_CONFIG = f"{api.REMOTE_CONFIG}.client"
DEFAULT_TIMEOUT_S = 10.0
DRAIN_S = 1.0
"""How long a bundle whose services are withdrawn waits for calls under way."""
TOGETHER_S = 0.5
"""Services of a bundle that are withdrawn within so much of each other are withdrawn together."""
STOP_S = 0.3
"""How long the last answers have when the framework stops."""


class Distribution:
    """Remote services of one framework, from `start` to `stop`."""

    def __init__(self, framework: Framework, tls: TlsContexts | None) -> None:
        self._context = framework.get_bundle_context()
        address = str(framework.get_property(api.ADDRESS))
        me = str(framework.get_property(OSGI_FRAMEWORK_UUID))
        self._exports = _Exports(str(framework.get_property(api.AGENT)))
        self._server = Server(address, me, self._exports.endpoints, tls.server if tls else None)
        self._peers = Peers(me, tls.client if tls else None, gone=self._suspect)
        self._intents = [OSGI_BASIC_INTENT, OSGI_BASIC_TIMEOUT_INTENT, OSGI_ASYNC_INTENT]
        if tls is not None:
            self._intents.append(OSGI_CONFIDENTIAL_INTENT)
        self._address = address
        self._registrations: list[Any] = []

    @property
    def counts(self) -> tuple[int, int]:
        """Calls of others that were carried out here, and how many of them raised."""
        return self._exports.endpoints.counts

    def start(self) -> None:
        """Listen, and offer both providers to Pelix. Raises `Unavailable` when the address cannot be used."""
        imports = _Imports(self._peers)
        exporter, importer = _Exporter(self._exports, self._intents), _Importer(imports, self._intents)
        self._exports.join(self._context, exporter, f"inaetics://{self._address}:{self._server.start()}")
        imports.join(self._context, importer, CLIENT_CONFIG)
        for name, provider in (
            (SERVICE_EXPORT_DISTRIBUTION_PROVIDER, exporter),
            (SERVICE_IMPORT_DISTRIBUTION_PROVIDER, importer),
            (SERVICE_REACHABILITY, _Reachability(self._peers)),
        ):
            self._registrations.append(self._context.register_service(name, provider, {}))

    def inside(self, package: str) -> list[str]:
        """Whose calls services of a bundle's `package` carry out, also when no thread does: they returned a future."""
        return self._exports.endpoints.inside(package)

    def hurry(self, within_s: float) -> None:
        """The framework is about to stop: services that are withdrawn from now on wait `within_s` all together."""
        self._exports.hurry(within_s)

    def stop(self) -> None:
        """Withdraw both providers, take no more calls, close every connection. Idempotent."""
        self._exports.hurry(0.0)
        while self._registrations:
            self._registrations.pop().unregister()
        self._server.drain(STOP_S)
        self._server.stop()
        self._peers.close()

    def _suspect(self, framework: str) -> None:
        if not self._registrations:
            return  # stopping
        references: Iterable[Any] = self._context.get_all_service_references(SERVICE_SUSPICIONS) or ()
        for reference in references:
            self._context.get_service(reference).suspect(framework)


class _Standing(Container):
    """A container that stands from the start, without being a component."""

    def join(self, context: BundleContext, provider: DistributionProvider, container_id: str) -> None:
        """What iPOPO would do. Pelix' base class has no other way to learn its context, provider and id."""
        self._validate_component(
            context, {IPOPO_INSTANCE_NAME: container_id, DISTRIBUTION_PROVIDER_CONTAINER_PROP: provider}
        )


class _Exporter(ExportDistributionProvider):
    def __init__(self, container: _Exports, intents: Sequence[str]) -> None:
        super().__init__()
        self._config_name = api.REMOTE_CONFIG
        self._namespace = NAMESPACE
        self._supported_configs = [api.REMOTE_CONFIG]
        self._supported_intents = list(intents)
        self._container = container

    @override
    def _prepare_container_id(self, container_props: dict[str, Any]) -> str:
        return self._container.get_id()

    @override
    def supports_export(
        self, exported_configs: list[str] | None, service_intents: list[str] | None, export_props: dict[str, Any]
    ) -> ExportContainer | None:
        fits = self._match_required_configs(exported_configs) and self._match_intents(service_intents)
        return self._container if fits else None


class _Importer(ImportDistributionProvider):
    def __init__(self, container: _Imports, intents: Sequence[str]) -> None:
        super().__init__()
        self._config_name = CLIENT_CONFIG
        self._namespace = NAMESPACE
        self._supported_configs = [api.REMOTE_CONFIG]
        self._supported_intents = list(intents)
        self._container = container

    @override
    def supports_import(
        self, exported_configs: list[str] | None, service_intents: list[str] | None, endpoint_props: dict[str, Any]
    ) -> ImportContainer | None:
        fits = self._match_required_configs(exported_configs) and self._match_intents(service_intents or [])
        return self._container if fits else None


class _Exports(_Standing, ExportContainer):
    """Everything this framework exports."""

    def __init__(self, agent: str) -> None:
        super().__init__()
        self.endpoints = Endpoints(self._heir)
        self._end: float | None = None
        self._waits: dict[str, tuple[float, float]] = {}
        """Of a bundle whose services are withdrawn: until when they wait, and when the last one was."""
        self._agent = agent
        self._successors = Successors()

    @override
    def prepare_endpoint_props(
        self, intfs: list[str], svc_ref: ServiceReference[Any], export_props: dict[str, Any]
    ) -> dict[str, Any]:
        properties = super().prepare_endpoint_props(intfs, svc_ref, export_props) | {api.REMOTE_AGENT: self._agent}
        if ECF_SERVICE_EXPORTED_ASYNC_INTERFACES in export_props:  # the parent leaves it out
            properties[ECF_SERVICE_EXPORTED_ASYNC_INTERFACES] = export_props[ECF_SERVICE_EXPORTED_ASYNC_INTERFACES]
        return properties

    @override
    def _export_service(self, svc: Any, ed: EndpointDescription) -> None:
        super()._export_service(svc, ed)
        self.endpoints.add(ed.get_id(), svc)

    @override
    def _unexport_service(self, ed: EndpointDescription) -> tuple[Any, EndpointDescription] | None:
        leaving = self._get_export(ed.get_id())
        if leaving is not None:
            self._successors.leaves(ed.get_id(), leaving)
        exported = super()._unexport_service(ed)
        package = self.endpoints.package(ed.get_id())
        until = self._wait_until(package)
        if not self.endpoints.withdraw(ed.get_id(), max(until - time.monotonic(), 0.0)):
            log.warning("service goes with calls under way", interfaces=ed.get_interfaces(), endpoint=ed.get_id())
        self._waits[package] = (until, time.monotonic())
        return exported

    def hurry(self, within_s: float) -> None:
        """From now on wait so long for calls under way, for all services together."""
        self._end = time.monotonic() + within_s

    def _wait_until(self, package: str) -> float:
        """They are withdrawn one after the other: if each waited by itself, a bundle of many would seem to hang."""
        now = time.monotonic()
        self._waits = {name: wait for name, wait in self._waits.items() if now - wait[1] <= TOGETHER_S}
        until, _ = self._waits.get(package, (now + DRAIN_S, now))
        return until if self._end is None else min(until, self._end)

    def _heir(self, endpoint: str) -> str | None:
        """Who answers for an endpoint that was withdrawn."""
        with self._exported_instances_lock:
            exports = list(self._exported_services.values())
        found = self._successors.of(endpoint, exports)
        return found[1].get_id() if found is not None else None


class _Imports(_Standing, ImportContainer):
    """Makes proxies, and gives their connections up when they go."""

    def __init__(self, peers: Peers) -> None:
        super().__init__()
        self._peers = peers
        self._lock = threading.Lock()
        self._taken: dict[str, Peer] = {}

    @override
    def _prepare_proxy(self, endpoint_description: EndpointDescription) -> Proxy:
        peer = _peer(self._peers, endpoint_description)
        with self._lock:
            before = self._taken.pop(endpoint_description.get_id(), None)
            self._taken[endpoint_description.get_id()] = peer
        if before is not None:
            self._peers.release(before)
        timeout_s = endpoint_description.get_properties().get(api.REMOTE_TIMEOUT_S, DEFAULT_TIMEOUT_S)
        service = RemoteService(peer, endpoint_description.get_id(), timeout_s=float(timeout_s))
        return Proxy(service, futures=bool(endpoint_description.get_async_interfaces()))

    @override
    def unimport_service(self, endpoint_description: EndpointDescription) -> None:
        with self._lock:
            peer = self._taken.pop(endpoint_description.get_id(), None)
        if peer is not None:
            self._peers.release(peer)


class _Reachability(Reachability):
    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    @override
    def presence(self, endpoint: EndpointDescription, *, within_s: float) -> Presence:
        try:
            peer = _peer(self._peers, endpoint)
        except RemoteServiceError:
            return Presence.WITHDRAWN
        try:
            return peer.probe(endpoint.get_id(), timeout_s=within_s)
        finally:
            self._peers.release(peer)


def _peer(peers: Peers, endpoint: EndpointDescription) -> Peer:
    """The peer that exports `endpoint`, to be released. Raises `RemoteServiceError` for one that is not ours."""
    where = urlsplit(endpoint.get_container_id()[1])
    if where.scheme != "inaetics" or not where.hostname or not where.port:
        raise RemoteServiceError(f"cannot import {endpoint.get_id()}: it is at {where.geturl()!r}")
    return peers.take(where.hostname, where.port, endpoint.get_framework_uuid())
