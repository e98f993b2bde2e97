"""Many calls in flight on one connection: futures, one-way calls, cancelling."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import pytest

from inaetics.errors import InvalidInput
from inaetics.node.remote.calls import current_call
from inaetics.node.remote.errors import CallFailed, NotCarriedOut, Unreachable
from inaetics.node.remote.proxies import asynchronous, one_way, within
from tests.support.eventually import eventually
from tests.unit.node.called import Service, Site


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


def test_views_of_a_local_service_call_it_at_once() -> None:
    service = Service()
    assert asynchronous(service).echo(1).result(0) == 1
    with pytest.raises(AttributeError):
        asynchronous(service).nowhere()
    one_way(service).note(2)
    assert service.noted == [2]
    assert within(service, 1.0) is service
