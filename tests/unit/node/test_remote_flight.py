"""Many calls in flight on one connection: futures, one-way calls, cancelling, bounds, and what an update waits for."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from inaetics.errors import InvalidInput
from inaetics.node.remote import session as sessions
from inaetics.node.remote.budget import Budget
from inaetics.node.remote.calls import CurrentCall, current_call
from inaetics.node.remote.client import Peer, Peers
from inaetics.node.remote.endpoints import Endpoints, Method
from inaetics.node.remote.errors import CallFailed, NotCarriedOut, Unreachable, Withdrawn
from inaetics.node.remote.link import Link
from inaetics.node.remote.proxies import Proxy, RemoteService, asynchronous, one_way, within
from inaetics.node.remote.reachability import Presence
from inaetics.node.remote.server import Server
from inaetics.node.remote.stream import NotSent
from inaetics.node.remote.wire import PROTOCOL, Answer, Hello, encode
from tests.support.eventually import eventually

ADDRESS = "127.0.0.1"


class Service:
    """What is called in these tests."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self.noted: list[Any] = []
        self.calls: list[CurrentCall | None] = []
        self.later: Future[Any] = Future()

    def echo(self, value: Any) -> Any:
        return value

    def note(self, value: Any) -> None:
        self.noted.append(value)

    def wait(self) -> str:
        self.calls.append(current_call())
        self.entered.release()
        assert self.leave.wait(20)
        return "left"

    def promise(self) -> Future[Any]:
        self.calls.append(current_call())
        self.entered.release()
        return self.later

    def until_cancelled(self) -> str:
        cancelled = threading.Event()
        call = current_call()
        assert call is not None
        call.when_cancelled(cancelled.set)
        self.entered.release()
        self.noted.append(cancelled.wait(20))
        return "nobody hears this"


class Site:
    """A provider with one service, and a caller of it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.endpoints = Endpoints()
        self.endpoints.add("e", service)
        self.server = Server(ADDRESS, "provider", self.endpoints, None)
        self.port = self.server.start()
        self.peer = Peer(ADDRESS, self.port, framework="provider", me="caller", tls=None)
        self.proxy = Proxy(RemoteService(self.peer, "e", timeout_s=10.0), futures=True)
        self.later = asynchronous(self.proxy)

    def entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.service.entered.acquire(timeout=10)

    def close(self) -> None:
        self.service.leave.set()
        self.peer.close()
        self.server.stop()


@contextmanager
def making() -> Iterator[Site]:
    made = Site(Service())
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with making() as made:
        yield made


def test_callers_share_one_connection_and_get_their_own_answers(site: Site) -> None:
    def many(caller: int) -> list[Any]:
        return [site.proxy.echo([caller, n, "x" * (n * 300 % 70_000)])[:2] for n in range(60)]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(many, range(16)))
    assert found == [[[caller, n] for n in range(60)] for caller in range(16)]
    assert site.server.connections == 1


def test_futures_have_results_and_errors(site: Site) -> None:
    futures = [site.later.echo(n) for n in range(500)]
    assert [future.result(10) for future in futures] == list(range(500))
    with pytest.raises(CallFailed, match="no method nowhere"):
        site.later.nowhere().result(10)
    with pytest.raises(InvalidInput, match="cannot send call"):
        site.later.echo(object())
    assert site.proxy.echoAsync(7).result(10) == 7
    assert site.server.connections == 1


def test_futures_and_waiting_callers_get_along(site: Site) -> None:
    def many(n: int) -> list[Any]:
        return [site.proxy.echo((n, k)) for k in range(100)]

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(many, n) for n in range(4)]
        futures = [site.later.echo(n) for n in range(400)]
        assert [future.result(20) for future in futures] == list(range(400))
        assert [found.result(20)[-1] for found in waiting] == [[n, 99] for n in range(4)]


def test_callback_of_a_future_may_call(site: Site) -> None:
    found: Future[Any] = Future()
    site.later.echo(1).add_done_callback(lambda future: found.set_result(site.proxy.echo(future.result() + 1)))
    assert found.result(10) == 2


def test_future_is_awaited_by_asyncio(site: Site) -> None:
    async def main() -> Any:
        return await asyncio.wrap_future(site.later.echo("awaited"))

    assert asyncio.run(main()) == "awaited"


def test_slow_call_holds_up_no_other_on_its_connection(site: Site) -> None:
    slow = site.later.wait()
    site.entered()
    assert site.proxy.echo(1) == 1
    assert site.later.echo(2).result(10) == 2
    assert not slow.done()
    site.service.leave.set()
    assert slow.result(10) == "left"
    assert site.server.connections == 1


def test_call_that_is_slow_for_once_holds_up_no_other_after_many_quick_ones(site: Site) -> None:
    """The overseer looks most seldom by then."""
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        assert site.proxy.echo(1) == 1
    waiting = site.later.wait()
    site.entered()
    assert site.later.echo("next").result(20) == "next"
    assert not waiting.done()
    site.service.leave.set()
    assert waiting.result(10) == "left"


def test_service_answers_later_with_a_future_and_holds_no_thread(site: Site) -> None:
    threads = threading.active_count()
    promised = [site.later.promise() for _ in range(50)]
    site.entered(50)
    assert threading.active_count() < threads + 20
    site.service.later.set_result("kept")
    assert [future.result(10) for future in promised] == ["kept"] * 50


def test_one_way_call_is_carried_out_and_not_answered(site: Site) -> None:
    sent = one_way(site.proxy)
    for n in range(100):
        assert sent.note(n) is None
    sent.nowhere()
    assert site.proxy.echo(1) == 1  # the connection is as good as before
    eventually(lambda: sorted(site.service.noted) == list(range(100)), within_s=10, what="all are noted")


def test_cancelled_future_tells_the_provider(site: Site) -> None:
    future = site.later.until_cancelled()
    site.entered()
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(10)
    eventually(lambda: site.service.noted == [True], within_s=10, what="the service knows that nobody waits")
    assert site.proxy.echo(1) == 1


def test_cancelled_call_cancels_the_services_future(site: Site) -> None:
    future = site.later.promise()
    site.entered()
    future.cancel()
    eventually(site.service.later.cancelled, within_s=10, what="the service's future is cancelled")


def test_caller_whose_time_is_over_tells_the_provider(site: Site) -> None:
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s") as failed:
        within(site.proxy, 0.2).until_cancelled()
    assert not isinstance(failed.value, NotCarriedOut)
    eventually(lambda: site.service.noted == [True], within_s=10, what="the service knows that nobody waits")


def test_future_whose_time_is_over_fails(site: Site) -> None:
    late = asynchronous(site.proxy, timeout_s=0.2).wait()
    with pytest.raises(Unreachable, match="no answer within"):
        late.result(10)


def test_caller_that_is_gone_has_given_up(site: Site) -> None:
    future = site.later.until_cancelled()
    site.entered()
    site.peer.close()
    with pytest.raises(Unreachable, match="closed here"):
        future.result(10)
    eventually(lambda: site.service.noted == [True], within_s=10, what="the service knows that nobody waits")


def test_provider_sees_who_calls_and_how_long_they_wait(site: Site) -> None:
    future = asynchronous(site.proxy, timeout_s=7).promise()
    site.entered()
    call = site.service.calls[0]
    assert call is not None
    assert call.caller == "caller"
    assert call.remaining_s is not None
    assert 0 < call.remaining_s <= 7
    assert not call.given_up
    site.service.later.set_result(1)
    assert future.result(10) == 1
    assert current_call() is None


def test_calls_beyond_the_window_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inaetics.node.remote.greeting.WINDOW", 8)
    with making() as site:
        slow = [site.later.wait() for _ in range(7)]  # the eighth place is the leading caller's
        site.entered(7)
        with pytest.raises(NotCarriedOut, match="too much to do"):
            asynchronous(site.proxy, timeout_s=0.2).echo(1).result(10)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: site.later.echo(2).result(10))
            site.service.leave.set()
            assert waiting.result(10) == 2
        assert [future.result(10) for future in slow] == ["left"] * 7


def test_caller_that_ignores_the_window_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "WINDOW", 3)  # and says 256 in its Hello
    with making() as site:
        slow = [site.later.wait() for _ in range(3)]
        site.entered(3)
        with pytest.raises(NotCarriedOut, match="more than 3 calls"):
            site.later.echo(1).result(10)
        site.service.leave.set()
        assert [future.result(10) for future in slow] == ["left"] * 3


def test_large_frames_wait_for_memory_and_give_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LARGE", 70_000)
    with making() as site:
        budget = site.server._budget = Budget(200_000)
        peers = [Peer(ADDRESS, site.port, framework="provider", me=f"caller {n}", tls=None) for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(peer.call, "e", "echo", [b"x" * 150_000], {}, timeout_s=20) for peer in peers]
            assert [len(each.result(20)) for each in found] == [150_000] * 4
        promised = peers[0].call_later("e", "promise", [], {"unknown": b"x" * 150_000}, timeout_s=20)
        with pytest.raises(CallFailed, match="unexpected keyword"):
            promised.result(20)
        assert budget._held == 0
        for peer in peers:
            peer.close()
        with socket.create_connection((ADDRESS, site.port), timeout=10) as stream:  # who goes in the middle of one
            stream.sendall(encode(Hello(PROTOCOL, "cut")) + encode(Answer(1, b"x" * 150_000))[:90_000])
            eventually(lambda: budget._held > 0, within_s=10, what="memory is held for it")
        eventually(lambda: budget._held == 0, within_s=10, what="nothing is held for those who are gone")


def test_frame_that_finds_no_memory_waits_until_there_is_some() -> None:
    budget = Budget(100)
    assert budget.take(80, 0)
    assert not budget.take(30, 0.01)
    budget.release(80)
    assert budget.take(1000, 0), "one that is too large comes alone"
    assert not budget.take(1, 0.01)


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


def test_views_of_a_local_service_call_it_at_once() -> None:
    service = Service()
    assert asynchronous(service).echo(1).result(0) == 1
    with pytest.raises(AttributeError):
        asynchronous(service).nowhere()
    one_way(service).note(2)
    assert service.noted == [2]
    assert within(service, 1.0) is service
