"""etcd's word and a server's: who may lag behind for a moment, who lies; and in which order servers are asked."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random

import msgspec
import pytest

from inaetics.bundles.exchange import DeployedBundle, Deployment, Registration
from inaetics.bundles.records import CURRENT, Rule, Version
from inaetics.errors import Unavailable
from inaetics.node import in_force as module
from inaetics.node.in_force import FalseAnswer, InForce
from inaetics.node.provisioning_client import ProvisioningClient
from inaetics.node.servers import Servers, in_turn
from inaetics.store.protocol import KeyValue
from inaetics.tls import client_context
from tests.support.signing import Signing, signing


def record(number: int, digit: str = "1") -> KeyValue:
    version = Version(
        version=number, text="", rules=(Rule(target="*", bundles=("x@1.0",)),), archives={"x@1.0": digit * 64}
    )
    return KeyValue(key=CURRENT, value=msgspec.json.encode(version), create_revision=1, mod_revision=number, lease=0)


def deployment(number: int, digit: str = "1") -> Deployment:
    bundle = DeployedBundle(name="x", version="1.0", sha256=digit * 64, url="/x")
    return Deployment(version=f"{number}-abc", bundles=(bundle,))


def test_a_server_that_knows_a_version_before_etcd_has_told_it_is_waited_for() -> None:
    force = InForce()
    force._use(record(1))
    late = threading.Timer(0.1, force._use, [record(2, "2")])
    late.start()
    force.check(deployment(2, "2"), "a", server="s")
    late.join()


@pytest.mark.parametrize("silent", [pytest.param(True, id="etcd silent"), pytest.param(False, id="etcd behind")])
def test_what_etcd_never_told_is_not_taken_and_nobody_accused(silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CATCH_UP_S", 0.05)
    force = InForce()
    if not silent:
        force._use(record(1))
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"deployment 2-abc.*http://s.*etcd has") as refused:
            force.check(deployment(2), "a", server="http://s")
        assert not isinstance(refused.value, FalseAnswer)


def test_a_server_that_lags_is_asked_again_and_lies_when_it_still_lags() -> None:
    force = InForce()
    force._use(record(2))
    with pytest.raises(Unavailable, match="it is of version 1 of the mapping, and 2 is in force") as refused:
        force.check(deployment(1), "a", server="s")
    assert not isinstance(refused.value, FalseAnswer)
    with pytest.raises(Unavailable) as other:
        force.check(deployment(1), "a", server="t")
    assert not isinstance(other.value, FalseAnswer), "each server may lag once"
    with pytest.raises(FalseAnswer):
        force.check(deployment(1), "a", server="s")
    force.check(deployment(2), "a", server="s")


def test_other_bundles_are_a_lie_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CATCH_UP_S", 0.05)
    force = InForce()
    force._use(record(2))
    with pytest.raises(FalseAnswer, match=r"its archive of x@1\.0 has sha256 2222"):
        force.check(deployment(2, "2"), "a", server="s")
    force._use(None)
    with pytest.raises(FalseAnswer, match="no mapping is in force"):
        force.check(deployment(2), "a", server="s")


def test_a_record_that_cannot_be_read_lets_nothing_new_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CATCH_UP_S", 0.05)
    force = InForce()
    force._use(_broken())
    with pytest.raises(Unavailable, match="cannot be read"):
        force.check(deployment(2), "a", server="s")


def test_the_end_of_an_agent_waits_for_nobody() -> None:
    force = InForce()
    threading.Timer(0.05, force.close).start()
    with pytest.raises(Unavailable):
        force.check(deployment(2), "a", server="s")


def _broken() -> KeyValue:
    return KeyValue(key=CURRENT, value=b"{", create_revision=1, mod_revision=2, lease=0)


URLS = [f"https://127.0.0.{host}:{port}" for host in (1, 2, 3) for port in (range(1, 50) if host == 2 else (7,))]


def test_one_host_with_many_registrations_keeps_nobody_from_the_others() -> None:
    orders = [in_turn(URLS, own="127.0.0.3", random=Random(seed)) for seed in range(50)]
    assert all(order[0] == "https://127.0.0.3:7" for order in orders), "our own host first"
    assert all({url.split(":")[1] for url in order[:3]} == {f"//127.0.0.{n}" for n in (1, 2, 3)} for order in orders)
    assert all(sorted(order) == sorted(URLS) for order in orders)
    assert len(Counter(order[1] for order in orders)) > 5, "drawn"
    assert {order[1].split(":")[1] for order in orders} == {"//127.0.0.1", "//127.0.0.2"}, "no host is always before"


@pytest.mark.parametrize(
    ("certificates", "registration", "asked"),
    [
        pytest.param(True, Registration(url="http://h:1", agents_url="https://h:2"), ("https://h:2",), id="TLS"),
        pytest.param(True, Registration(url="http://h:1", agents_url="http://h:2"), (), id="no TLS for certificates"),
        pytest.param(True, Registration(url="http://h:1"), (), id="nor at the page"),
        pytest.param(False, Registration(url="http://h:1", agents_url="http://h:2"), ("http://h:2",), id="plain"),
        pytest.param(False, Registration(url="http://h:1", agents_url="https://h:2"), ("http://h:1",), id="the page"),
        pytest.param(True, Registration(url="", agents_url="https://["), (), id="no address"),
        pytest.param(True, Registration(url="", agents_url="https://h:99999"), (), id="no port"),
        pytest.param(False, Registration(url="file:///etc/passwd"), (), id="no HTTP"),
    ],
)
def test_what_is_asked_of_a_registration(
    certificates: bool, registration: Registration, asked: tuple[str, ...]
) -> None:
    servers = Servers(certificates=certificates)
    url = servers._url(msgspec.json.encode(registration))
    servers._set({"k": url} if url else {})
    assert servers.in_turn() == asked


def test_who_has_certificates_downloads_nothing_without(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server may name another address for an archive: then too."""
    made: Signing = signing(tmp_path_factory.mktemp("tls"))
    context = client_context(ca=made.anchors, cert=made.certificate, key=made.key, whose="the test's")
    client = ProvisioningClient("https://127.0.0.1:1", tls=context)
    bundle = DeployedBundle(name="x", version="1.0", sha256="1" * 64, url="http://127.0.0.1:1/x")
    for url, words in ((bundle.url, "has no TLS, and we have certificates"), ("http://[/x", "does not answer")):
        with pytest.raises(Unavailable, match=words):
            ProvisioningClient(url, tls=context).deployment("a", after="", running="", error="", wait_s=0)
    with pytest.raises(Unavailable, match="has no TLS"):
        client.fetch(bundle)
