"""The bundles as an agent installs them, and their services as another agent sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import pytest

from inaetics.demonstrator.api import (
    ACCOUNTING,
    AGENT_STATISTICS,
    DATA_STORE,
    PIPELINE_CONTROL,
    PRODUCER,
    SAMPLE_QUEUE,
    AccountingReport,
    AgentReport,
    BlockDelivery,
    Cut,
    Delivery,
    Ledger,
    Result,
    Sample,
    Word,
)
from inaetics.demonstrator.native import LIBRARY
from inaetics.errors import InvalidInput
from inaetics.node.testing import BundleFramework
from inaetics.provisioning.settings import read_settings
from tests.support.native import compiled_kernels


@pytest.fixture
def framework() -> Iterator[BundleFramework]:
    with BundleFramework(agent="celix@1", properties={"inaetics.queue.capacity": 5}) as framework:
        yield framework
    assert framework.left == {}


def install(framework: BundleFramework, *names: str) -> None:
    with as_file(files("inaetics.demonstrator") / "bundles") as folder:
        framework.install(*(folder / name for name in names))


def samples(count: int) -> list[Sample]:
    return [Sample(1000 + n, n / 2, -1.0, "mine", n) for n in range(count)]


def test_the_queues_plain_services(framework: BundleFramework) -> None:
    install(framework, "queue")
    queue = framework.service(SAMPLE_QUEUE, remote=True)
    assert queue.put(samples(1)[0]) is True
    assert queue.put_all(samples(7)[1:]) == 4
    assert queue.put(samples(7)[6]) is False
    one = msgspec.convert(queue.take(), Delivery)
    others = msgspec.convert(queue.take_min_max(2, 9), Delivery)
    assert [*one.samples, *others.samples] == samples(5)
    assert queue.acknowledge(one.id)
    assert not queue.acknowledge(one.id)
    assert queue.put(samples(7)[6]) is True
    with pytest.raises(InvalidInput):
        queue.put_block(["mine", 0, 1, b"", b"", b""])


def test_a_taker_acknowledges_what_it_took_before(framework: BundleFramework) -> None:
    install(framework, "queue")
    queue = framework.service(SAMPLE_QUEUE, remote=True)
    queue.put_all(samples(2))
    first = msgspec.convert(queue.take_blocks(1, 1), BlockDelivery)
    second = msgspec.convert(queue.take_blocks(1, 1, first.id), BlockDelivery)
    assert second.blocks[0].first == 1
    assert not queue.acknowledge(first.id), "it is acknowledged"
    assert queue.forget([("mine", 2)]) == 0, "one is lent"
    assert queue.acknowledge(second.id)
    assert queue.forget([("mine", 2)]) == 1
    assert msgspec.convert(queue.cut(), Cut).forgotten == 1


def test_the_deliveries_of_two_queues_are_not_mistaken_for_each_other() -> None:
    """A processor that acknowledges what a dead queue lent it would mean another processor's samples otherwise."""
    ids = set()
    for _ in range(2):
        with BundleFramework() as framework:
            install(framework, "queue")
            queue = framework.service(SAMPLE_QUEUE, remote=True)
            queue.put_all(samples(5))
            ids |= {queue.take_blocks(1, 1)[0] for _ in range(5)}
    assert len(ids) == 10


def test_the_datastores_plain_services(framework: BundleFramework) -> None:
    install(framework, "datastore")
    store = framework.service(DATA_STORE, remote=True)
    results = [Result(2000, 0.5, sample) for sample in samples(6)]
    assert store.store(results[0]) == 1
    assert store.store_all(results) == 5
    assert msgspec.convert(store.find_between(1001, 1003), list[Result]) == results[1:3]


def test_latency_across_hosts_whose_clocks_are_minutes_apart(framework: BundleFramework) -> None:
    """The producer's host is five minutes behind; what it took twenty seconds ago took about so long."""
    behind_ms = 5 * 60_000
    framework.provide(PRODUCER, _Clock(behind_ms), **{"inaetics.agent": "far@1"})
    install(framework, "datastore", "statistics")
    store, statistics = (framework.service(name, remote=True) for name in (DATA_STORE, AGENT_STATISTICS))

    def figures() -> dict[str, float]:
        return {stat.name: stat.value for stat in msgspec.convert(statistics.report(), AgentReport).stats}

    framework.wait(lambda: figures()["clocks apart"] > 0, what="the clock was asked for")
    taken_ms = round(time.time() * 1000) - behind_ms - 20_000
    store.store(Result(taken_ms, 0.0, Sample(taken_ms, 0.0, 0.0, "far@1/life", 0)))
    store.store(Result(taken_ms, 0.0, Sample(taken_ms, 0.0, 0.0, "unknown@1/life", 0)))
    assert 10_000 <= figures()["latency p50"] <= figures()["latency p99"] < 60_000
    assert abs(figures()["clocks apart"] - behind_ms) < 10_000


class _Clock:
    def __init__(self, behind_ms: int) -> None:
        self._behind_ms = behind_ms

    def clock_ms(self) -> float:
        return time.time() * 1000 - self._behind_ms


def test_what_people_set(framework: BundleFramework) -> None:
    install(framework, "queue", "producer")
    control, producer = (framework.service(name, remote=True) for name in (PIPELINE_CONTROL, PRODUCER))
    control.set_utilisation(10)
    assert producer.rate() == producer.maximum() / 10
    for percent in (-1, 101, "text", None, float("nan")):
        with pytest.raises(InvalidInput, match="0 to 100 %"):
            control.set_utilisation(percent)
    with pytest.raises(InvalidInput, match="periodic, burst"):
        producer.set_mode("now and then")
    with pytest.raises(InvalidInput, match="µs"):
        control.set_cost(-1)
    assert producer.rate() == producer.maximum() / 10
    control.set_cost(3)
    control.set_mode("burst")
    told = msgspec.convert(control.told(), list[Word])
    assert {(word.method, word.value) for word in told} == {
        ("set_utilisation", 10), ("set_cost", 3), ("set_mode", "burst"),
    }  # fmt: skip
    assert all(0 <= word.age_s < 60 for word in told)


def test_what_a_processor_was_told_and_not_what_it_began_with() -> None:
    with given("inaetics.processor.cost.us=5") as framework:
        install(framework, "queue", "datastore", "processor")
        control = framework.service(PIPELINE_CONTROL, remote=True)
        assert control.told() == []
        control.set_utilisation(40)
        control.set_mode("burst")
        control.set_cost(7)
        assert {method: value for method, value, _ in control.told()} == {
            "set_utilisation": 40, "set_mode": "burst", "set_cost": 7,
        }  # fmt: skip
        with pytest.raises(InvalidInput, match="periodic, burst"):
            control.set_mode("now and then")


UNIT = {"INAETICS_AGENT": "celix@1", "INAETICS_ADDRESS": "127.0.0.1", "INAETICS_ETCD_ENDPOINTS": "http://127.0.0.1:1"}


def given(text: str) -> BundleFramework:
    """A framework with what a unit says in INAETICS_PROPERTIES."""
    return BundleFramework(properties=read_settings(UNIT | {"INAETICS_PROPERTIES": text}).properties)


def test_what_a_unit_says_of_the_pipeline() -> None:
    said = (
        "inaetics.producer.mode=burst inaetics.producer.rate=900 inaetics.producer.maximum=1200"
        " inaetics.queue.capacity=70000 inaetics.processor.cost.us=12.5 inaetics.datastore.bytes=2000000"
    )
    with given(said) as framework:
        install(framework, "queue", "datastore", "processor", "producer", "statistics")
        producer = framework.service(PRODUCER, remote=True)
        assert (producer.rate(), producer.maximum()) == (900, 1200)
        statistics = framework.service(AGENT_STATISTICS, remote=True)

        def figures() -> dict[str, float]:
            return {stat.name: stat.value for stat in msgspec.convert(statistics.report(), AgentReport).stats}

        assert (figures()["capacity"], figures()["cost"]) == (70_000, 12.5)
        assert (figures()["rate set"], figures()["in bursts"]) == (900, 1)


@pytest.mark.parametrize(
    ("bundle", "said", "words"),
    [
        ("producer", "inaetics.producer.mode=sometimes", "one of periodic, burst"),
        ("producer", "inaetics.producer.rat=9", "there is no property inaetics.producer.rat"),
        ("queue", "inaetics.queue.capacity=lots", "a number from 1 to"),
        ("processor", "inaetics.processor.cost.us=-1", "a number from 0 to 1,000,000 µs"),
        ("datastore", "inaetics.datastore.bytes=128M", "a number from 1,000,000 to"),
    ],
)
def test_a_bundle_with_wrong_properties_does_not_start_and_says_why(bundle: str, said: str, words: str) -> None:
    with given(said) as framework, pytest.raises(InvalidInput, match=words) as refused:
        install(framework, bundle)  # nothing that it needs is there
    assert "INAETICS_PROPERTIES" in str(refused.value)


def test_the_native_processor_does_not_install_without_its_library(
    framework: BundleFramework, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(LIBRARY, str(tmp_path / "kernels.so"))
    with pytest.raises(InvalidInput, match="cannot load the native kernels"):
        install(framework, "processor_native")


@pytest.mark.parametrize("processor", ["processor", "processor_native"])
def test_all_of_it_in_one_agent_adds_up(
    framework: BundleFramework, processor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(LIBRARY, str(compiled_kernels(tmp_path)))
    install(framework, "queue", "datastore", "accounting", processor, "producer", "statistics")
    accounting = framework.service(ACCOUNTING, remote=True)

    def report() -> AccountingReport | None:
        latest = accounting.latest()
        return msgspec.convert(latest, AccountingReport) if latest else None

    found = framework.wait(lambda: (r := report()) and r.stored and r, within_s=30, what="stored samples")
    assert isinstance(found, AccountingReport)
    assert found.holds, found
    assert found.produced == found.refused + found.queued + found.in_flight + found.stored
    producer = framework.service(PRODUCER, remote=True)
    cut = framework.service(SAMPLE_QUEUE).cut()
    ledger = framework.wait(lambda: producer.at(cut.producers[0].producer, cut.producers[0].frontier))
    assert msgspec.convert(ledger, Ledger).refused == cut.producers[0].refused
