"""Makes Pelix's Remote Service Admin export and import services over our wire.

A framework has one container that exports and one that imports. The exporter's server listens on the agent's own
address at any free port; an endpoint says where, in its container id: ``inaetics://127.17.8.101:40123``.

The providers are plain services, not components: iPOPO keeps a parent's callbacks beside overriding ones of another
name, and nothing here needs injection. Methods that Pelix calls override the parents' by exactly their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pelix.constants import OSGI_FRAMEWORK_UUID
from pelix.framework import Framework
from pelix.internals.registry import ServiceReference
from pelix.ipopo.constants import IPOPO_INSTANCE_NAME
from pelix.rsa import RemoteServiceError
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
from pelix.utilities import get_remote_method
from typing_extensions import override

from inaetics.node import api
from inaetics.node.remote.client import Peer, Peers
from inaetics.node.remote.server import Refused, Server
from inaetics.node.remote.successors import Successors
from inaetics.node.remote.tls import TlsContexts
from inaetics.node.remote.wire import NO_ENDPOINT, NO_METHOD, Call

NAMESPACE = "inaetics.remote"
CLIENT_CONFIG = f"{api.REMOTE_CONFIG}.client"
INTENTS = ["osgi.basic", "osgi.basic.timeout", "osgi.confidential"]
DEFAULT_TIMEOUT_S = 10.0


class Distribution:
    """Remote services of one framework, from `start` to `stop`."""

    def __init__(self, framework: Framework, tls: TlsContexts | None) -> None:
        self._context = framework.get_bundle_context()
        address = str(framework.get_property(api.ADDRESS))
        me = str(framework.get_property(OSGI_FRAMEWORK_UUID))
        self._exports = _Exports(str(framework.get_property(api.AGENT)))
        self._server = Server(address, me, self._exports.dispatch, tls.server if tls else None)
        self._peers = Peers(me, tls.client if tls else None)
        self._address = address
        self._registrations: list[Any] = []

    def start(self) -> None:
        """Listen, and offer both providers to Pelix. Raises `Unavailable` when the address cannot be used."""
        exporter = _Exporter(self._exports)
        importer = _Importer(_Imports(self._peers))
        self._join(self._exports, exporter, f"inaetics://{self._address}:{self._server.start()}")
        self._join(importer.container, importer, CLIENT_CONFIG)
        for name, provider in (
            (SERVICE_EXPORT_DISTRIBUTION_PROVIDER, exporter),
            (SERVICE_IMPORT_DISTRIBUTION_PROVIDER, importer),
        ):
            self._registrations.append(self._context.register_service(name, provider, {}))

    def stop(self) -> None:
        """Withdraw both providers, take no more calls, close every connection. Idempotent."""
        while self._registrations:
            self._registrations.pop().unregister()
        self._server.stop()
        self._peers.close()

    def _join(self, container: Container, provider: DistributionProvider, container_id: str) -> None:
        """What iPOPO would do for a container that is a component."""
        properties = {IPOPO_INSTANCE_NAME: container_id, DISTRIBUTION_PROVIDER_CONTAINER_PROP: provider}
        container._validate_component(self._context, properties)


class _Exporter(ExportDistributionProvider):
    def __init__(self, container: _Exports) -> None:
        super().__init__()
        self._config_name = api.REMOTE_CONFIG
        self._namespace = NAMESPACE
        self._supported_configs = [api.REMOTE_CONFIG]
        self._supported_intents = INTENTS
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
    def __init__(self, container: _Imports) -> None:
        super().__init__()
        self._config_name = CLIENT_CONFIG
        self._namespace = NAMESPACE
        self._supported_configs = [api.REMOTE_CONFIG]
        self._supported_intents = INTENTS
        self.container = container

    @override
    def supports_import(
        self, exported_configs: list[str] | None, service_intents: list[str] | None, endpoint_props: dict[str, Any]
    ) -> ImportContainer | None:
        fits = self._match_required_configs(exported_configs) and self._match_intents(service_intents or [])
        return self.container if fits else None


class _Exports(ExportContainer):
    """Everything this framework exports, by endpoint id."""

    def __init__(self, agent: str) -> None:
        super().__init__()
        self._agent = agent
        self._successors = Successors()

    @override
    def prepare_endpoint_props(
        self, intfs: list[str], svc_ref: ServiceReference[Any], export_props: dict[str, Any]
    ) -> dict[str, Any]:
        return super().prepare_endpoint_props(intfs, svc_ref, export_props) | {api.REMOTE_AGENT: self._agent}

    @override
    def _unexport_service(self, ed: EndpointDescription) -> tuple[Any, EndpointDescription] | None:
        leaving = self._get_export(ed.get_id())
        if leaving is not None:
            self._successors.leaves(ed.get_id(), leaving)
        return super()._unexport_service(ed)

    def _all(self) -> list[tuple[Any, EndpointDescription]]:
        with self._exported_instances_lock:
            return list(self._exported_services.values())

    def dispatch(self, call: Call) -> Any:
        """Carry out a call from the network: only public methods of what is exported. Raises `Refused`."""
        found = self._get_export(call.endpoint) or self._successors.of(call.endpoint, self._all())
        if found is None:
            raise Refused(NO_ENDPOINT, f"no service {call.endpoint} is exported here")
        method = get_remote_method(found[0], call.method)
        if method is None:
            raise Refused(NO_METHOD, f"the service has no method {call.method}")
        return method(*call.args, **call.kwargs)


class _Imports(ImportContainer):
    """Makes proxies, and gives their connections up when they go."""

    def __init__(self, peers: Peers) -> None:
        super().__init__()
        self._peers = peers
        self._taken: dict[str, Peer] = {}

    @override
    def _prepare_proxy(self, endpoint_description: EndpointDescription) -> Proxy:
        where = urlsplit(endpoint_description.get_container_id()[1])
        if where.scheme != "inaetics" or not where.hostname or not where.port:
            raise RemoteServiceError(f"cannot import {endpoint_description.get_id()}: it is at {where.geturl()!r}")
        peer = self._peers.take(where.hostname, where.port, endpoint_description.get_framework_uuid())
        self._taken[endpoint_description.get_id()] = peer
        timeout_s = endpoint_description.get_properties().get(api.REMOTE_TIMEOUT_S, DEFAULT_TIMEOUT_S)
        return Proxy(peer, endpoint_description.get_id(), timeout_s=float(timeout_s))

    @override
    def unimport_service(self, endpoint_description: EndpointDescription) -> None:
        peer = self._taken.pop(endpoint_description.get_id(), None)
        if peer is not None:
            self._peers.release(peer)


class Proxy:
    """Stands for a service in another agent: every public attribute is a method that calls it there."""

    def __init__(self, peer: Peer, endpoint: str, *, timeout_s: float) -> None:
        self._peer = peer
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        peer, endpoint, timeout_s = self._peer, self._endpoint, self._timeout_s

        def call(*args: Any, **kwargs: Any) -> Any:
            return peer.call(endpoint, name, list(args), kwargs, timeout_s=timeout_s)

        call.__name__ = name
        self.__dict__[name] = call  # found without us from now on
        return call

    @override
    def __repr__(self) -> str:
        return f"<remote service {self._endpoint} at {self._peer}>"
