"""What one caller, and all of them, may have under way: calls, and the memory of large frames."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from inaetics.node.remote import session as sessions
from inaetics.node.remote.budget import Budget
from inaetics.node.remote.client import Peer
from inaetics.node.remote.errors import CallFailed, NotCarriedOut
from inaetics.node.remote.proxies import asynchronous
from inaetics.node.remote.wire import PROTOCOL, Answer, Hello, encode
from tests.support.eventually import eventually
from tests.unit.node.called import ADDRESS, making


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
