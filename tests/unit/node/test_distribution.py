"""Exports and imports through Pelix's own admin: one framework that imports what it exports."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pelix.framework import BundleContext
from pelix.internals.registry import ServiceRegistration
from pelix.rsa import ECF_SERVICE_EXPORTED_ASYNC_INTERFACES, SERVICE_EXPORTED_INTENTS, RemoteServiceAdmin
from pelix.rsa.endpointdescription import EndpointDescription
from pelix.rsa.topologymanagers.basic import instantiate_basic_topology_manager

from inaetics.bundles.archive import open_archive
from inaetics.node import api
from inaetics.node.agent import REMOTE_BUNDLES
from inaetics.node.installer import Installer
from inaetics.node.loader import BundleLoader
from inaetics.node.remote import distribution
from inaetics.node.remote.discovery import decode_endpoint, encode_endpoint
from inaetics.node.remote.distribution import Distribution
from inaetics.node.remote.errors import Unreachable, Withdrawn
from inaetics.node.remote.proxies import asynchronous
from inaetics.node.remote.reachability import SERVICE_REACHABILITY, SERVICE_SUSPICIONS, Presence
from tests.support.bundles import packed
from tests.support.eventually import eventually

SPECIFICATION = "greeting"


class Greeting:
    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def greet(self, name: str) -> str:
        return f"hello {name}"

    def wait(self) -> str:
        self.entered.set()
        assert self.leave.wait(20)
        return "left"


class Bench:
    def __init__(self, context: BundleContext) -> None:
        self.context = context
        framework = context.get_framework()
        framework.add_property(api.ADDRESS, "127.0.0.1")
        framework.add_property(api.AGENT, "felix@1")
        for name in REMOTE_BUNDLES:
            context.install_bundle(name).start()
        instantiate_basic_topology_manager(context)
        self.distribution = Distribution(framework, None)
        self.distribution.start()
        self.service = Greeting()

    def export(self, **properties: Any) -> ServiceRegistration[Any]:
        return self.context.register_service(SPECIFICATION, self.service, {api.EXPORTED_INTERFACES: "*", **properties})

    @property
    def exported(self) -> list[EndpointDescription]:
        """As an importer sees them: through JSON."""
        found = (reference.get_description() for reference in self._admin().get_exported_services())
        return [known for each in found if each and (known := decode_endpoint(encode_endpoint(each.get_properties())))]

    def imported(self) -> Any:
        """A proxy of the only export."""
        (endpoint,) = self.exported
        reference = self._admin().import_service(endpoint).get_reference()
        assert reference is not None
        assert reference.get_property(api.REMOTE_AGENT) == "felix@1"
        return self.context.get_service(reference)

    def _admin(self) -> Any:
        reference = self.context.get_service_reference(RemoteServiceAdmin)
        assert reference is not None
        return self.context.get_service(reference)


@pytest.fixture
def bench(context: BundleContext) -> Iterator[Bench]:
    made = Bench(context)
    yield made
    made.service.leave.set()
    made.distribution.stop()
    made.distribution.stop()


def test_exported_service_is_called_through_its_import(bench: Bench) -> None:
    bench.export(colour="red")
    proxy = bench.imported()
    assert proxy.greet("you") == "hello you"
    assert asynchronous(proxy).greet("you").result(10) == "hello you"
    with pytest.raises(AttributeError):
        proxy._private()


def test_bundle_stops_when_calls_under_way_have_ended(bench: Bench) -> None:
    registration = bench.export()
    proxy = bench.imported()
    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(proxy.wait)
        assert bench.service.entered.wait(10)
        stopping = pool.submit(registration.unregister)

        def refused() -> bool:
            with pytest.raises(Withdrawn):
                proxy.greet("you")
            return True

        eventually(refused, within_s=10, what="later calls are refused")
        bench.service.leave.set()
        assert under_way.result(10) == "left"
        stopping.result(10)


LATER = """
    from concurrent.futures import Future
    from pelix.constants import BundleActivator

    class Service:
        def __init__(self, pending):
            self.pending = pending

        def answer_later(self):
            self.pending.append(Future())
            return self.pending[-1]

    @BundleActivator
    class Activator:
        def start(self, context):
            self.pending = context.get_property("pending")
            context.register_service("later", Service(self.pending), {"service.exported.interfaces": "*"})

        def stop(self, context):
            self.pending.append(VERSION)

    VERSION = %r
"""


def test_bundle_is_not_stopped_while_a_caller_waits_for_a_future_of_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A future holds no thread, so it cannot be seen on any stack that the bundle is still at it."""
    monkeypatch.setattr(distribution, "DRAIN_S", 0.0)
    pending: list[Any] = []
    bench.context.get_framework().add_property("pending", pending)
    first, second = (
        open_archive(packed(tmp_path, "later", version, init=LATER % version)) for version in ("1.0.0", "2.0.0")
    )
    busy: list[list[str]] = []

    def inside(package: str) -> list[str]:
        busy.append(bench.distribution.inside(package))
        return busy[-1]

    installer = Installer(BundleLoader(bench.context), busy=inside)
    installer.switch([first])
    answer = asynchronous(bench.imported()).answer_later()
    eventually(lambda: pending, within_s=10, what="the call is over there")
    with ThreadPoolExecutor(1) as pool:
        switching = pool.submit(installer.switch, [second])
        eventually(lambda: len(busy) > 3, within_s=10, what="the call is waited for")
        assert len(busy[-1]) == 1
        assert "1.0.0" not in pending, "the old version is not stopped"
        pending[0].set_result("answered")
        assert answer.result(10) == "answered"
        switching.result(20)
    assert pending[1:] == ["1.0.0"]
    assert busy[-1] == []
    installer.stop_all()


def test_services_of_a_bundle_wait_for_calls_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other they would wait longer than a bundle has to give its services up."""
    monkeypatch.setattr(distribution, "DRAIN_S", 1.0)
    waited: list[float] = []
    endpoints = bench.distribution._exports.endpoints
    withdraw = endpoints.withdraw

    def withdrawn(name: str, within_s: float) -> bool:
        waited.append(within_s)
        return withdraw(name, within_s)

    monkeypatch.setattr(endpoints, "withdraw", withdrawn)
    first, proxy = bench.export(), bench.imported()
    second = bench.context.register_service("other", bench.service, {api.EXPORTED_INTERFACES: "*"})
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(proxy.wait)
        assert bench.service.entered.wait(10)
        first.unregister()
        second.unregister()
        bench.service.leave.set()
        assert under_way.result(10) == "left"
    assert waited[0] > 0.5
    assert waited[1] < 0.5


def test_services_wait_together_when_the_framework_is_about_to_stop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "DRAIN_S", 60.0)
    registration = bench.export()
    proxy = bench.imported()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(proxy.wait)
        assert bench.service.entered.wait(10)
        bench.distribution.hurry(0.0)
        began = time.monotonic()
        registration.unregister()
        assert time.monotonic() - began < 30, "it did not wait"
        bench.service.leave.set()
        assert under_way.result(10) == "left"


def test_intents_that_cannot_be_kept_are_not_promised(bench: Bench) -> None:
    bench.export(**{SERVICE_EXPORTED_INTENTS: ["osgi.confidential"]})
    assert bench.exported == [], "there is no TLS"
    bench.export(**{SERVICE_EXPORTED_INTENTS: ["osgi.async"]})
    (endpoint,) = bench.exported
    assert "osgi.async" in endpoint.get_intents()


def test_eclipses_asynchronous_methods_return_futures(bench: Bench) -> None:
    bench.export(**{ECF_SERVICE_EXPORTED_ASYNC_INTERFACES: "*"})
    assert bench.imported().greetAsync("you").result(10) == "hello you"


class Suspicions:
    def __init__(self) -> None:
        self.told: list[str] = []

    def suspect(self, framework: str) -> None:
        self.told.append(framework)


def test_dead_provider_is_told_to_discovery_and_shows_nothing(bench: Bench) -> None:
    suspicions = Suspicions()
    bench.context.register_service(SERVICE_SUSPICIONS, suspicions, {})
    bench.export()
    (endpoint,) = bench.exported
    proxy = bench.imported()
    reference: Any = bench.context.get_service_reference(SERVICE_REACHABILITY)
    reachability: Any = bench.context.get_service(reference)
    assert reachability.presence(endpoint, within_s=10) is Presence.EXPORTED
    assert proxy.greet("you") == "hello you"
    bench.distribution._server.stop()
    with pytest.raises(Unreachable):
        proxy.greet("you")
    eventually(lambda: suspicions.told, within_s=20, what="discovery is told")
    assert set(suspicions.told) == {endpoint.get_framework_uuid()}
    assert reachability.presence(endpoint, within_s=10) is Presence.DEAD
