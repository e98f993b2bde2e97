"""The bundles as an agent installs them, and their services as another agent sees them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import pytest

from inaetics.demonstrator.api import (
    ACCOUNTING,
    DATA_STORE,
    PIPELINE_CONTROL,
    PRODUCER,
    SAMPLE_QUEUE,
    AccountingReport,
    Delivery,
    Ledger,
    Result,
    Sample,
)
from inaetics.demonstrator.native import LIBRARY
from inaetics.errors import InvalidInput
from inaetics.node.testing import BundleFramework
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


def test_the_datastores_plain_services(framework: BundleFramework) -> None:
    install(framework, "datastore")
    store = framework.service(DATA_STORE, remote=True)
    results = [Result(2000, 0.5, sample) for sample in samples(6)]
    assert store.store(results[0]) == 1
    assert store.store_all(results) == 5
    assert msgspec.convert(store.find_between(1001, 1003), list[Result]) == results[1:3]


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
