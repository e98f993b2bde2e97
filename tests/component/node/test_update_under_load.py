"""A bundle is updated while others call it all the time, and another one hangs beside it: no call is lost or fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import Program, Site, deployed
from tests.support.bundles import packed
from tests.support.eventually import eventually

PROVIDER = """
    import time
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Validate

    @ComponentFactory(f"{__name__}.echo")
    @Provides("echo")
    @Property("_exported", "service.exported.interfaces", "*")
    @Instantiate(f"{__name__}.echo")
    class Echo:
        @Validate
        def validate(self, context):
            self._open = True

        @Invalidate
        def invalidate(self, context):
            self._open = False

        def echo(self, number, seconds):
            time.sleep(seconds)
            if not self._open:
                raise RuntimeError("stopped while a call was inside")
            return [number, VERSION]

    VERSION = %r
"""
CALLER = """
    import json, threading, time
    from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Requires, Validate

    PAUSES = [0, 0, 0.01, 0.2]      # what the calls of each thread take over there

    @ComponentFactory(f"{__name__}.caller")
    @Provides(HTTP_SERVLET)
    @Property("_path", HTTP_SERVLET_PATH, "/calls")
    @Requires("_echo", "echo", immediate_rebind=True)
    @Instantiate(f"{__name__}.caller")
    class Caller:
        @Validate
        def validate(self, context):
            self._stop = threading.Event()
            self.seen = [{"sent": 0, "answered": 0, "failed": [], "versions": [], "longest_s": 0} for _ in PAUSES]
            for seen, pause in zip(self.seen, PAUSES):
                threading.Thread(target=self._call, args=(seen, pause), daemon=True).start()

        @Invalidate
        def invalidate(self, context):
            self._stop.set()

        def _call(self, seen, pause):
            while not self._stop.wait(0.001):
                seen["sent"] += 1
                began = time.monotonic()
                try:
                    number, version = self._echo.echo(seen["sent"], pause)
                    assert number == seen["sent"], f"{number} for {seen['sent']}"
                    seen["answered"] += 1
                    if version not in seen["versions"]:
                        seen["versions"].append(version)
                except Exception as error:
                    seen["failed"].append(f"{type(error).__name__}: {error}")
                seen["longest_s"] = max(seen["longest_s"], time.monotonic() - began - pause)

        def do_GET(self, request, response):
            response.send_content(200, json.dumps({"seen": self.seen}), "application/json")
"""
HANGING = """
    import threading
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Requires, Validate

    @ComponentFactory(f"{__name__}.hanging")
    @Requires("_echo", "echo")
    @Instantiate(f"{__name__}.hanging")
    class Hanging:
        @Validate
        def validate(self, context):
            threading.Event().wait()
"""
VERSIONS = [f"1.{number}.0" for number in range(4)]
BESIDE = """
[[rules]]
target = "p"
install = ["echo", "hanging"]

[[rules]]
target = "c"
install = ["caller"]
"""


def calls(caller: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.json("/calls")["seen"]
    return found


def test_update_of_a_bundle_under_load_loses_no_call(site: Site, tmp_path: Path) -> None:
    for version in VERSIONS:
        packed(tmp_path, "echo", version, init=PROVIDER % version)
    packed(tmp_path, "caller", init=CALLER)
    site.provisioning()
    provider, caller = site.agent("p"), site.agent("c")
    site.map_all(p=[f"echo@{VERSIONS[0]}"], c=["caller"])
    deployed(caller, "caller-1.0.0", within_s=60)
    eventually(lambda: caller.get("/calls")[0] == 200, within_s=40, what="the caller calls")
    for version in VERSIONS:
        site.map_all(p=[f"echo@{version}"], c=["caller"])
        deployed(provider, f"echo-{version}", within_s=40)
        eventually(
            lambda version=version: all(seen["versions"][-1:] == [version] for seen in calls(caller)),  # type: ignore[misc]
            within_s=40,
            what=f"every thread is answered by {version}",
        )
    packed(tmp_path, "hanging", init=HANGING)
    site.set_mapping(f"within_s = 1\n{BESIDE}")
    eventually(lambda: provider.said("deployment refused"), within_s=30, what="a bundle that hangs is refused")
    assert "hanging/__init__.py" in provider.said("deployment refused")[0]["error"]
    before = [seen["answered"] for seen in calls(caller)]
    eventually(
        lambda: all(seen["answered"] > count for seen, count in zip(calls(caller), before, strict=True)),
        within_s=30,
        what="calls go on",
    )
    answered = sum(seen["answered"] for seen in calls(caller))
    health = json.loads(provider.get("/health")[1])
    assert health["calls"] >= answered, "counted through every version"
    assert health["calls_raised"] == 0
    for seen in calls(caller):
        assert seen["failed"] == []
        assert seen["sent"] - seen["answered"] in (0, 1), "one may be under way"
        assert seen["versions"] == VERSIONS


LATER = """
    import threading
    from concurrent.futures import Future
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Validate

    @ComponentFactory(f"{__name__}.echo")
    @Provides("echo")
    @Property("_exported", "service.exported.interfaces", "*")
    @Instantiate(f"{__name__}.echo")
    class Echo:
        @Validate
        def validate(self, context):
            self._open = True

        @Invalidate
        def invalidate(self, context):
            self._open = False

        def echo(self, number, seconds):
            future = Future()
            threading.Timer(3.0, self._answer, (future, number)).start()
            return future

        def _answer(self, future, number):
            if self._open:
                future.set_result([number, VERSION])
            else:
                future.set_exception(RuntimeError("stopped while a call was in flight"))

    VERSION = %r
"""


@pytest.mark.soak
def test_update_waits_for_futures_that_others_wait_for(site: Site, tmp_path: Path) -> None:
    for version in VERSIONS[:2]:
        packed(tmp_path, "echo", version, init=LATER % version)
    packed(tmp_path, "caller", init=CALLER)
    site.provisioning()
    provider, caller = site.agent("p"), site.agent("c")
    site.map_all(p=[f"echo@{VERSIONS[0]}"], c=["caller"])
    deployed(caller, "caller-1.0.0", within_s=60)
    for version in VERSIONS[:2]:
        site.map_all(p=[f"echo@{version}"], c=["caller"])
        deployed(provider, f"echo-{version}", within_s=40)
        eventually(
            lambda version=version: all(seen["versions"][-1:] == [version] for seen in calls(caller)),  # type: ignore[misc]
            within_s=40,
            what=f"every thread is answered by {version}",
        )
    assert [seen["failed"] for seen in calls(caller)] == [[]] * len(calls(caller))
