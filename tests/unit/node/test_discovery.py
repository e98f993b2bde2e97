"""What is exported stands in etcd under a lease, again and again; what others export is learned, once each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pelix.framework import BundleContext
from pelix.rsa.endpointdescription import EndpointDescription
from pelix.rsa.providers.discovery import (
    SERVICE_ENDPOINT_ADVERTISER,
    SERVICE_ENDPOINT_EVENT_LISTENER,
    EndpointAdvertiser,
    EndpointEvent,
)

from inaetics.node.etcd_directory import EtcdDirectory
from inaetics.node.remote.discovery import PREFIX, Discovery, decode_endpoint, encode_endpoint
from inaetics.provisioning.etcd_thread import EtcdThread
from inaetics.store.fake import FakeStore
from tests.support.eventually import eventually


def endpoint(name: str, **extra: Any) -> EndpointDescription:
    properties: dict[str, Any] = {
        "objectClass": ["greeting"],
        "endpoint.id": name,
        "endpoint.service.id": 7,
        "endpoint.framework.uuid": "them",
        "service.imported.configs": ["inaetics.msgpack"],
        "remote.configs.supported": ["inaetics.msgpack"],
        "ecf.endpoint.id": "inaetics://127.0.0.1:1",
        "ecf.endpoint.id.ns": "inaetics.remote",
        "ecf.rsvc.id": 7,
        "ecf.endpoint.ts": 1,
    }
    return EndpointDescription.fromprops(properties | extra)


class Listener:
    """A topology manager that only notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.threads: set[str] = set()

    def endpoint_changed(self, event: EndpointEvent, matched_filter: str) -> None:
        self.told.append((event.get_type(), event.get_endpoint_description().get_id()))
        self.threads.add(threading.current_thread().name)
        if event.get_endpoint_description().get_id() == "poison":
            raise ValueError("this one")


class Bench:
    """A framework's discovery on a fake store; `store` is another client of it, used on etcd's thread."""

    def __init__(self, context: BundleContext) -> None:
        self.failures: list[str] = []
        self._fake = FakeStore()
        self.thread = EtcdThread(self._open, failed=self.failures.append)
        self.discovery = Discovery(context.get_framework(), EtcdDirectory(self.thread))
        self.listener = Listener()
        context.register_service(
            SERVICE_ENDPOINT_EVENT_LISTENER, self.listener, {"endpoint.listener.scope": "(ecf.endpoint.id.ns=*)"}
        )
        self.discovery.start()
        self.thread.start()
        references: list[Any] = context.get_all_service_references(SERVICE_ENDPOINT_ADVERTISER) or []
        self.advertiser: EndpointAdvertiser = context.get_service(references[0])

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[FakeStore]:
        yield self._fake

    def on_store(self, work: Callable[[FakeStore], Any]) -> Any:
        """Run `work` on etcd's thread and return what it does; a coroutine is awaited."""

        async def run() -> Any:
            found = work(self._fake)
            return await found if asyncio.iscoroutine(found) else found

        loop = eventually(lambda: self.thread.loop, within_s=20, what="the loop runs")
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(run(), loop).result(20)

    def put(self, name: str, value: bytes) -> None:
        self.on_store(lambda store: store.client().put(f"{PREFIX}them/{name}", value))

    def keys(self) -> dict[str, int]:
        """Our keys, by endpoint, with their lease."""
        items = self.on_store(lambda store: store.client().list(PREFIX)).items
        return {item.key.rsplit("/", 1)[1]: item.lease for item in items if "/them/" not in item.key}

    def stop(self) -> None:
        self.discovery.stop()
        self.thread.stop()
        assert self.failures == []


@pytest.fixture
def bench(context: BundleContext) -> Iterator[Bench]:
    made = Bench(context)
    yield made
    made.stop()


def told(bench: Bench, *expected: tuple[int, str]) -> None:
    eventually(lambda: bench.listener.told == list(expected), within_s=20, what=f"the listener was told {expected}")


ADDED, REMOVED, MODIFIED = EndpointEvent.ADDED, EndpointEvent.REMOVED, EndpointEvent.MODIFIED


def test_properties_survive_the_way_through_etcd() -> None:
    one = endpoint("one", colour=["red", "blue"], **{"inaetics.agent": "felix@1", "odd": {1, 2}})
    found = decode_endpoint(encode_endpoint(one.get_properties()))
    assert found is not None
    assert found.get_id() == "one"
    assert found.get_properties()["colour"] == ["red", "blue"]
    assert found.get_container_id() == one.get_container_id()


@pytest.mark.parametrize("value", [b"", b"{}", b'{"properties": {}}', b'{"properties": {"endpoint.id": 1}}', b"\xff"])
def test_value_that_is_no_endpoint_is_left_out(value: bytes) -> None:
    assert decode_endpoint(value) is None


def test_exported_endpoint_stands_in_etcd_until_withdrawn(bench: Bench) -> None:
    bench.advertiser.advertise_endpoint(endpoint("mine"))
    eventually(lambda: set(bench.keys()) == {"mine"}, within_s=20, what="it is announced")
    assert bench.keys()["mine"] != 0
    bench.advertiser.unadvertise_endpoint("mine")
    eventually(lambda: not bench.keys(), within_s=20, what="it is withdrawn")
    assert bench.listener.told == []


def test_lost_lease_is_replaced_and_everything_written_again(bench: Bench) -> None:
    for name in ("one", "two"):
        bench.advertiser.advertise_endpoint(endpoint(name))
    eventually(lambda: len(bench.keys()) == 2, within_s=20, what="both are announced")
    lease = bench.keys()["one"]
    bench.on_store(lambda store: store.expire(lease))

    def under_another_lease() -> bool:
        keys = bench.keys()
        return set(keys) == {"one", "two"} and lease not in keys.values()

    eventually(under_another_lease, within_s=20, what="both stand under a new lease")


def test_late_write_under_a_lost_lease_takes_no_endpoint_away(bench: Bench) -> None:
    """A member that hung applies what was given up long ago; then the lease of then ends, and the key with it."""
    bench.advertiser.advertise_endpoint(endpoint("mine"))
    eventually(bench.keys, within_s=20, what="it is announced")

    async def late(store: FakeStore) -> None:
        hung = store.client()
        (item,) = (await hung.list(PREFIX)).items
        async with hung.lease(5.0) as lost:
            await hung.put(item.key, item.value, lease=lost.id)

    bench.on_store(late)
    eventually(bench.keys, within_s=20, what="it is announced again")


def test_endpoint_withdrawn_while_the_store_was_away_goes_when_it_returns(bench: Bench) -> None:
    for name in ("one", "two"):
        bench.advertiser.advertise_endpoint(endpoint(name))
    eventually(lambda: len(bench.keys()) == 2, within_s=20, what="both are announced")
    outage = bench.on_store(lambda store: store.outage())
    bench.on_store(lambda _: outage.__enter__())
    bench.advertiser.unadvertise_endpoint("one")
    assert set(bench.keys()) == {"one", "two"}
    bench.on_store(lambda _: outage.__exit__(None, None, None))
    eventually(lambda: set(bench.keys()) == {"two"}, within_s=20, what="only the other one stands")


def test_keys_go_with_the_process(context: BundleContext) -> None:
    bench = Bench(context)
    bench.advertiser.advertise_endpoint(endpoint("mine"))
    eventually(lambda: bench.keys(), within_s=20, what="it is announced")
    fake = bench._fake
    bench.stop()
    assert asyncio.run(fake.client().list(PREFIX)).items == ()


def test_others_endpoints_are_told_once_each_off_etcds_thread(bench: Bench) -> None:
    one = encode_endpoint(endpoint("one").get_properties())
    bench.put("one", one)
    bench.put("one", one)
    bench.put("one", encode_endpoint(endpoint("one", colour="red").get_properties()))
    bench.on_store(lambda store: store.client().delete(f"{PREFIX}them/one"))
    told(bench, (ADDED, "one"), (MODIFIED, "one"), (REMOVED, "one"))
    assert bench.listener.threads == {"discovery"}


def test_outage_takes_no_import_away(bench: Bench) -> None:
    bench.put("one", encode_endpoint(endpoint("one").get_properties()))
    told(bench, (ADDED, "one"))
    outage = bench.on_store(lambda store: store.outage())
    bench.on_store(lambda _: outage.__enter__())
    bench.put("two", encode_endpoint(endpoint("two").get_properties()))
    bench.on_store(lambda store: store.compact())
    bench.on_store(lambda _: outage.__exit__(None, None, None))
    told(bench, (ADDED, "one"), (ADDED, "two"))


def test_what_is_not_understood_or_fails_hides_nothing_else(bench: Bench) -> None:
    bench.put("broken", b"{")
    bench.put("poison", encode_endpoint(endpoint("poison").get_properties()))
    bench.put("one", encode_endpoint(endpoint("one").get_properties()))
    told(bench, (ADDED, "poison"), (ADDED, "one"))
