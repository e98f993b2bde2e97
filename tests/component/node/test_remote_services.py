"""Services across agents: two real frameworks with mutual TLS, one killed, etcd away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import Program, Site, deployed
from tests.support.bundles import packed
from tests.support.etcd import etcd_cluster
from tests.support.eventually import eventually

PREFIX = "/inaetics/discovery/"

PROVIDER = """
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Property, Provides

    @ComponentFactory(f"{__name__}.provider")
    @Provides("greeting")
    @Property("_exported", "service.exported.interfaces", "*")
    @Property("_colour", "colour", "red")
    @Property("_timeout", "inaetics.remote.timeout.s", 4.0)
    @Instantiate(f"{__name__}.provider")
    class Provider:
        def greet(self, name, *, loud=False):
            if name == "nobody":
                raise ValueError("nobody is there")
            return {"said": name.upper() if loud else name, "version": VERSION}

    VERSION = %r
"""

CALLER = """
    import json, threading, time
    from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH
    from pelix.ipopo.decorators import (BindField, ComponentFactory, Instantiate, Invalidate, Property, Provides,
        Requires, UnbindField, Validate)
    from pelix.rsa import RemoteServiceError

    @ComponentFactory(f"{__name__}.caller")
    @Provides(HTTP_SERVLET)
    @Property("_path", HTTP_SERVLET_PATH, "/calls")
    @Requires("_greetings", "greeting", aggregate=True, optional=True, spec_filter="(colour=red)")
    @Instantiate(f"{__name__}.caller")
    class Caller:
        '''Calls the newest greeting all the time.'''

        def __init__(self):
            self._bound = []
            self._seen = {
                "bound": 0, "unbound": 0, "calls": 0, "ok": 0, "failed": 0, "longest_failure_s": 0.0, "last": None
            }

        @BindField("_greetings")
        def bind(self, field, service, reference):
            self._seen["bound"] += 1
            self._seen["properties"] = {key: str(value) for key, value in reference.get_properties().items()}
            self._bound.append(service)

        @UnbindField("_greetings")
        def unbind(self, field, service, reference):
            self._seen["unbound"] += 1
            self._bound.remove(service)

        @Validate
        def validate(self, context):
            self._stop = threading.Event()
            threading.Thread(target=self._call, daemon=True).start()

        @Invalidate
        def invalidate(self, context):
            self._stop.set()

        def _call(self):
            while not self._stop.wait(0.002):
                services = self._bound[-1:]
                for service in services:
                    began = time.monotonic()
                    self._seen["calls"] += 1
                    try:
                        self._seen["last"] = service.greet("you", loud=True)
                        self._seen["ok"] += 1
                    except RemoteServiceError as error:
                        took = time.monotonic() - began
                        self._seen["longest_failure_s"] = max(self._seen["longest_failure_s"], took)
                        self._seen["failed"] += 1
                        self._seen["error"] = str(error)

        def do_GET(self, request, response):
            if request.get_path().endswith("/nobody"):
                try:
                    self._bound[-1].greet("nobody")
                except RemoteServiceError as error:
                    return response.send_content(200, json.dumps(str(error)), "application/json")
            response.send_content(200, json.dumps(self._seen), "application/json")
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Three etcd members with TLS; provisioning, provider and caller live at their addresses."""
    with etcd_cluster(size=3, tls=True) as etcd:
        made = Site(etcd, tmp_path)
        packed(tmp_path, "provider", "1.0.0", init=PROVIDER % "1.0.0")
        packed(tmp_path, "provider", "1.1.0", init=PROVIDER % "1.1.0")
        packed(tmp_path, "caller", init=CALLER)
        made.map_all(p=["provider@1.0.0"], c=["caller"])
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def both(site: Site) -> tuple[Program, Program]:
    """Provider and caller, which calls."""
    site.provisioning()
    provider, caller = site.agent("p"), site.agent("c")
    deployed(provider, "provider-1.0.0", within_s=60)
    deployed(caller, "caller-1.0.0", within_s=60)
    eventually(lambda: calls(caller)["ok"] > 0, within_s=60, what="calls succeed")
    return provider, caller


def calls(caller: Program) -> dict[str, Any]:
    found: dict[str, Any] = caller.json("/calls")
    return found


def under_way(caller: Program) -> bool:
    """Whether one and the same call is not answered for a while."""
    first = calls(caller)
    time.sleep(0.1)  # a call takes about a millisecond
    then = calls(caller)
    return bool(first["calls"] == then["calls"] == then["ok"] + then["failed"] + 1)


def test_service_of_another_agent_is_called_as_a_local_one(both: tuple[Program, Program]) -> None:
    _, caller = both
    seen = calls(caller)
    assert seen["last"] == {"said": "YOU", "version": "1.0.0"}
    assert (seen["failed"], seen["bound"]) == (0, 1)
    assert seen["properties"]["inaetics.agent"] == "p"
    assert seen["properties"]["colour"] == "red"
    assert caller.json("/calls/nobody") == "greet failed there: ValueError: nobody is there"
    assert caller.said("no certificates: remote services are neither encrypted nor authenticated") == []


def test_killed_provider_fails_calls_at_once_and_is_gone_before_its_lease(
    site: Site, both: tuple[Program, Program]
) -> None:
    provider, caller = both
    provider.send(signal.SIGSTOP)
    eventually(lambda: under_way(caller), within_s=3, what="a call is under way")
    provider.kill()
    eventually(lambda: calls(caller)["unbound"] == 1, within_s=60, what="the import is gone")
    assert site.values(PREFIX), "its lease has not ended"
    eventually(lambda: calls(caller)["failed"] >= 1, within_s=3, what="that call failed")
    assert calls(caller)["longest_failure_s"] < 4, "a caller of a dead process does not wait"
    provider.start()
    before = calls(caller)["ok"]
    eventually(lambda: calls(caller)["ok"] > before, within_s=60, what="calls succeed again")


def test_frozen_provider_fails_calls_in_their_time_and_returns(both: tuple[Program, Program]) -> None:
    provider, caller = both
    provider.send(signal.SIGSTOP)
    try:
        eventually(lambda: calls(caller)["failed"] >= 1, within_s=60, what="calls fail")
        assert calls(caller)["longest_failure_s"] > 3, "it waited for its answer"
        eventually(lambda: calls(caller)["unbound"] == 1, within_s=60, what="the import is gone with its lease")
    finally:
        provider.send(signal.SIGCONT)
    before = calls(caller)["ok"]
    eventually(lambda: calls(caller)["ok"] > before, within_s=60, what="calls succeed again")


def test_stopped_provider_is_gone_at_once(site: Site, both: tuple[Program, Program]) -> None:
    provider, caller = both
    status, _ = provider.stop()
    assert status == 0
    assert not site.values(PREFIX), "it is withdrawn before it ends"
    eventually(lambda: calls(caller)["unbound"] == 1, within_s=60, what="the import is gone")


def test_update_of_the_provider_hands_over(site: Site, both: tuple[Program, Program]) -> None:
    provider, caller = both
    site.map_all(p=["provider@1.1.0"], c=["caller"])
    deployed(provider, "provider-1.1.0")
    eventually(lambda: calls(caller)["last"]["version"] == "1.1.0", within_s=60, what="the new version is called")
    eventually(lambda: calls(caller)["unbound"] == 1, within_s=60, what="the old import is gone")
    assert calls(caller)["bound"] == 2


def test_outage_of_etcd_keeps_imports_and_calls(site: Site, both: tuple[Program, Program]) -> None:
    provider, caller = both
    for lease in site.etcd.post("/v3/lease/leases", {})["leases"]:
        site.etcd.post("/v3/lease/revoke", lease)
    eventually(lambda: provider.said("lease lost, registering again"), within_s=60, what="its lease was lost")
    eventually(lambda: site.values(PREFIX), within_s=60, what="it is announced again")
    seen = calls(caller)
    assert (seen["failed"], seen["unbound"], seen["bound"]) == (0, 0, 1), "what answers is kept"
    site.etcd.kill()
    before = calls(caller)["ok"]
    began = time.monotonic()

    def longer_than_the_lease() -> bool:
        seen = calls(caller)
        assert (seen["failed"], seen["unbound"]) == (0, 0), seen
        return time.monotonic() - began > 7

    eventually(longer_than_the_lease, within_s=60, what="the outage lasts longer than a lease")
    assert calls(caller)["ok"] > before
    site.etcd.start()
    eventually(lambda: caller.said("lease lost, registering again"), within_s=60, what="the lease was lost")
    assert calls(caller)["failed"] == 0
    # A service that comes now is found, so discovery is alive on both sides.
    site.map_all(p=["provider@1.1.0"], c=["caller"])
    deployed(provider, "provider-1.1.0")
    eventually(lambda: calls(caller)["last"]["version"] == "1.1.0", within_s=60, what="the new version is called")
