"""Services, servers and connections that go: what is under way is answered, the rest is refused or goes elsewhere."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inaetics.node.remote.client import Peer, Peers
from inaetics.node.remote.endpoints import Endpoints, Method
from inaetics.node.remote.errors import NotCarriedOut, Unreachable, Withdrawn
from inaetics.node.remote.link import Link
from inaetics.node.remote.proxies import Proxy, RemoteService
from inaetics.node.remote.reachability import Presence
from inaetics.node.remote.server import Server
from inaetics.node.remote.stream import NotSent
from tests.support.eventually import eventually
from tests.unit.node.called import ADDRESS, Service, Site


def test_withdrawn_service_answers_what_is_under_way_and_nothing_after(site: Site) -> None:
    under_way = site.later.wait()
    site.entered()
    with ThreadPoolExecutor(1) as pool:
        withdrawing = pool.submit(site.endpoints.withdraw, "e", 10.0)

        def refused() -> bool:
            with pytest.raises(Withdrawn):
                site.proxy.echo(1)
            return True

        eventually(refused, within_s=10, what="later calls are refused, and surely not carried out")
        assert not withdrawing.done()
        site.service.leave.set()
        assert withdrawing.result(10)
    assert under_way.result(10) == "left"


def test_withdrawing_waits_so_long_and_no_longer(site: Site) -> None:
    under_way = site.later.wait()
    site.entered()
    assert not site.endpoints.withdraw("e", 0.05)
    site.service.leave.set()
    assert under_way.result(10) == "left"


def test_service_that_withdraws_itself_in_a_call_is_not_waited_for(site: Site) -> None:
    site.endpoints.add("self", Leaving(site.endpoints))
    began = time.monotonic()
    assert Proxy(RemoteService(site.peer, "self", timeout_s=30.0)).leave() is True
    assert time.monotonic() - began < 15


class Leaving:
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def leave(self) -> bool:
        return self._endpoints.withdraw("self", 20.0)


def test_successor_answers_for_a_service_that_was_withdrawn() -> None:
    endpoints = Endpoints(heir={"old": "new"}.get)
    endpoints.add("new", Service())
    assert endpoints.find("old") is endpoints.find("new")
    assert not endpoints.has("old")


def test_call_that_meets_a_service_that_goes_is_its_successors() -> None:
    """It was found, and is withdrawn before the call begins: here the service's method list does that."""
    heirs: dict[str, str] = {}
    endpoints = Endpoints(heir=heirs.get)
    endpoints.add("new", Service())
    endpoints.add("e", Service())
    server = Server(ADDRESS, "provider", endpoints, None)
    peer = Peer(ADDRESS, server.start(), framework="provider", me="caller", tls=None)
    old = endpoints.find("e")
    found = old.method

    def withdrawn_meanwhile(name: str) -> Method:
        heirs["e"] = "new"
        endpoints.withdraw("e", 0)
        return found(name)

    old.method = withdrawn_meanwhile  # type: ignore[method-assign]
    try:
        assert peer.call("e", "echo", [1], {}, timeout_s=10) == 1
    finally:
        peer.close()
        server.stop()


def test_draining_server_answers_what_is_under_way_and_refuses_the_rest(site: Site) -> None:
    under_way = site.later.wait()
    site.entered()
    assert not site.server.drain(0.01)
    with pytest.raises(NotCarriedOut, match="stopping"):
        site.proxy.echo(1)
    with pytest.raises(NotCarriedOut, match="refused"):
        Peer(ADDRESS, site.port, framework="provider", me="other", tls=None).call("e", "echo", [1], {}, timeout_s=10)
    site.service.leave.set()
    assert site.server.drain(10)
    assert under_way.result(10) == "left"


def test_peer_that_was_given_back_closes_after_its_last_answer(site: Site) -> None:
    peers = Peers("caller", None)
    peer = peers.take(ADDRESS, site.port, "provider")
    under_way = peer.call_later("e", "wait", [], {}, timeout_s=10)
    site.entered()
    peers.release(peer)
    with pytest.raises(Withdrawn, match="not imported any more"):
        peer.call("e", "echo", [1], {}, timeout_s=10)
    site.service.leave.set()
    assert under_way.result(10) == "left"
    eventually(lambda: site.server.connections == 0, within_s=10, what="its connection is closed")


def test_presence_tells_withdrawn_dead_and_silent_apart(site: Site) -> None:
    assert site.peer.probe("e", timeout_s=10) is Presence.EXPORTED
    assert site.peer.probe("other", timeout_s=10) is Presence.WITHDRAWN
    assert site.peer.probe(timeout_s=10) is Presence.EXPORTED
    site.server.stop()
    assert site.peer.probe("e", timeout_s=10) is Presence.DEAD


def test_server_that_came_again_at_its_port_is_reached_without_an_error(site: Site) -> None:
    """Nothing was sent over the connection that ended, so the call goes over a new one."""
    assert site.proxy.echo(1) == 1
    for stream in list(site.server._connected):
        stream.shutdown(2)
    eventually(lambda: site.server.connections == 0, within_s=10, what="the provider has closed it")
    time.sleep(0.06)  # longer than a connection is believed without a look
    assert site.proxy.echo(2) == 2


def test_call_that_was_surely_not_sent_goes_over_another_connection(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.proxy.echo(1) == 1
    original, failures = Link.call, [NotSent(32, "Broken pipe")]

    def call(link: Link, *args: Any) -> Any:
        if failures:
            link.close()
            raise failures.pop()
        return original(link, *args)

    monkeypatch.setattr(Link, "call", call)
    assert site.proxy.echo(2) == 2
    assert failures == []


def test_who_is_gone_is_told_once_a_connection_broke_or_was_refused(site: Site) -> None:
    gone: list[str] = []
    peers = Peers("caller", None, gone=gone.append)
    peer = peers.take(ADDRESS, site.port, "provider")
    assert peer.call("e", "echo", [1], {}, timeout_s=10) == 1
    assert gone == []
    site.server.stop()
    with pytest.raises(Unreachable):
        peer.call("e", "echo", [1], {}, timeout_s=10)
    assert gone
    assert set(gone) == {"provider"}
    peers.close()
