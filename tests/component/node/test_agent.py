"""A node agent as a process: it follows its mapping, keeps what it has when things go wrong, and ends in order."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import SHELL_PORT, Program, Site, deployed
from tests.support.bundles import packed
from tests.support.eventually import eventually

DEBUG_PORT = 8000

GREETER = """
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Provides

    @ComponentFactory(f"{__name__}.greeter")
    @Provides("greeting")
    @Instantiate(f"{__name__}.greeter")
    class Greeter:
        def greet(self):
            return %r
"""

WATCHER = """
    import json, threading
    from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Validate

    @ComponentFactory(f"{__name__}.watcher")
    @Provides(HTTP_SERVLET)
    @Property("_path", HTTP_SERVLET_PATH, "/watch")
    @Instantiate(f"{__name__}.watcher")
    class Watcher:
        '''Looks for the greeting all the time, and counts when it is not there.'''

        @Validate
        def validate(self, context):
            self._context, self._stop = context, threading.Event()
            self._seen = {"looks": 0, "gaps": 0, "said": []}
            threading.Thread(target=self._look, daemon=True).start()

        @Invalidate
        def invalidate(self, context):
            self._stop.set()

        def _look(self):
            while not self._stop.wait(0.0005):
                reference = self._context.get_service_reference("greeting")
                self._seen["looks"] += 1
                if reference is None:
                    self._seen["gaps"] += bool(self._seen["said"])
                    continue
                word = self._context.get_service(reference).greet()
                self._context.unget_service(reference)
                if word not in self._seen["said"]:
                    self._seen["said"].append(word)

        def do_GET(self, request, response):
            response.send_content(200, json.dumps(self._seen), "application/json")
"""


@pytest.fixture
def bundles(site: Site, tmp_path: Path) -> Site:
    packed(tmp_path, "greeter", "1.0.0", init=GREETER % "hello")
    packed(tmp_path, "greeter", "1.1.0", init=GREETER % "good day")
    packed(tmp_path, "greeter", "1.2.0", init="raise RuntimeError('no words')")
    packed(tmp_path, "watcher", init=WATCHER)
    site.map_all(a=["greeter@1.0.0", "watcher"])
    return site


def watch(agent: Program) -> dict[str, Any]:
    found: dict[str, Any] = agent.json("/watch")
    return found


def test_agent_follows_its_mapping_without_losing_a_service(bundles: Site) -> None:
    bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    eventually(lambda: watch(agent)["said"] == ["hello"], within_s=60, what="the watcher looks")
    bundles.map_all(a=["greeter@1.1.0", "watcher"])
    deployed(agent, "greeter-1.1.0", "watcher-1.0.0")
    eventually(lambda: watch(agent)["said"] == ["hello", "good day"], within_s=60, what="the watcher looks again")
    assert watch(agent)["gaps"] == 0
    bundles.map_all(a=["watcher"])
    deployed(agent, "watcher-1.0.0")
    eventually(lambda: watch(agent)["gaps"] > 0, within_s=60, what="the watcher would have seen a gap")


def test_bundle_that_does_not_start_takes_the_deployment_back_and_is_shown(bundles: Site) -> None:
    server = bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    bundles.map_all(a=["greeter@1.2.0", "watcher"])
    eventually(
        lambda: "cannot import bundle greeter-1.2.0: RuntimeError: no words" in str(server.json("/overview")),
        within_s=60,
        what="the server's page says what is wrong",
    )
    assert watch(agent)["gaps"] == 0
    assert len(agent.said("deployment refused")) == 1, "it is not tried again and again"
    bundles.map_all(a=["greeter@1.1.0", "watcher"])
    deployed(agent, "greeter-1.1.0", "watcher-1.0.0")
    eventually(
        lambda: "no words" not in str(server.json("/overview")["targets"]), within_s=60, what="the page says it is over"
    )


def test_agent_goes_on_without_provisioning_and_follows_the_next_one(bundles: Site) -> None:
    server = bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    server.kill()
    eventually(
        lambda: agent.said("cannot follow provisioning, going on with what runs"), within_s=60, what="it is noticed"
    )
    eventually(lambda: watch(agent)["said"] == ["hello"], within_s=60, what="the greeter is there")
    bundles.provisioning(number=1)
    bundles.map_all(a=["greeter@1.1.0", "watcher"])
    deployed(agent, "greeter-1.1.0", "watcher-1.0.0")


def test_agent_that_starts_without_provisioning_runs_what_it_ran_last(bundles: Site) -> None:
    server = bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    server.stop()
    agent.kill()
    agent.start()
    eventually(
        lambda: agent.said("provisioning is away, running what ran last"), within_s=60, what="it runs from its disk"
    )
    eventually(lambda: watch(agent)["said"] == ["hello"], within_s=60, what="the greeter is there")


def test_archive_that_broke_on_disk_is_fetched_again(bundles: Site, tmp_path: Path) -> None:
    bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    agent.kill()
    for path in (tmp_path / "data" / "a" / "agent" / "bundles").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    agent.start()
    eventually(lambda: len(agent.said("deployed")) == 2, within_s=60, what="it is deployed again")
    assert agent.said("deployment refused") == []


def test_archive_that_is_not_what_it_should_be_is_not_run(bundles: Site) -> None:
    server = bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    whole = (bundles.bundles / "greeter-1.1.0.zip").read_bytes()
    bundles.registry.lies[hashlib.sha256(whole).hexdigest()] = whole.replace(b"good day", b"evil day")
    bundles.map_all(a=["greeter@1.1.0", "watcher"])
    eventually(
        lambda: "gave something else" in str(server.json("/overview")["troubles"]), within_s=60, what="the page says so"
    )
    eventually(lambda: watch(agent)["said"], within_s=60, what="the watcher looks")
    assert watch(agent)["said"] == ["hello"]
    bundles.registry.lies.clear()
    deployed(agent, "greeter-1.1.0", "watcher-1.0.0")


def test_archives_that_are_not_used_any_more_are_removed(bundles: Site, tmp_path: Path) -> None:
    bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    bundles.map_all(a=["greeter@1.1.0"])
    deployed(agent, "greeter-1.1.0")
    kept = [path.name for path in (tmp_path / "data" / "a" / "agent" / "bundles").iterdir()]
    assert [name.rsplit("-", 1)[0] for name in kept] == ["greeter-1.1.0"]


STOPPING = """
    import time
    from pelix.constants import BundleActivator

    @BundleActivator
    class Activator:
        def start(self, context):
            pass
        def stop(self, context):
            time.sleep(%s)
"""


def test_sigterm_stops_bundles_in_reverse_order_and_exits_in_time(site: Site, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        packed(tmp_path, name, init=STOPPING % 0.2)
    site.map_all(a=["one", "two", "three"])
    site.provisioning()
    agent = site.agent("a")
    deployed(agent, "one-1.0.0", "two-1.0.0", "three-1.0.0")
    status, took_s = agent.stop()
    assert status == 0
    assert took_s < 10
    assert [entry["bundle"] for entry in agent.said("bundle stopped")] == ["three-1.0.0", "two-1.0.0", "one-1.0.0"]


LEAKING = """
    import threading
    threading.Thread(target=threading.Event().wait, name="forgotten", daemon=False).start()
"""


def test_bundle_that_leaves_a_thread_behind_does_not_keep_the_process(site: Site, tmp_path: Path) -> None:
    packed(tmp_path, "leaking", init=LEAKING)
    site.map_all(a=["leaking"])
    site.provisioning()
    agent = site.agent("a")
    deployed(agent, "leaking-1.0.0")
    status, took_s = agent.stop()
    assert status == 0
    assert took_s < 10
    assert agent.said("threads left behind")[0]["threads"] == ["forgotten"]


def test_bundle_that_hangs_in_stop_is_left_behind_and_named(site: Site, tmp_path: Path) -> None:
    packed(tmp_path, "hanging", init=STOPPING % 60)
    site.map_all(a=["hanging"])
    site.provisioning()
    agent = site.agent("a")
    deployed(agent, "hanging-1.0.0")
    status, took_s = agent.stop()
    assert status == 0
    assert took_s < 10
    (entry,) = agent.said("bundle hangs and was given up")
    assert (entry["bundle"], entry["doing"]) == ("hanging-1.0.0", "stop")
    assert any("hanging/__init__.py" in frame for frame in entry["innermost"])


def test_sigterm_without_etcd_and_provisioning_exits_in_time(bundles: Site) -> None:
    bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    bundles.etcd.kill()
    status, took_s = agent.stop()
    assert status == 0
    assert took_s < 10


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_debugger_listens_only_when_it_is_asked_for(bundles: Site) -> None:
    bundles.provisioning()
    without, debugged = bundles.agent("a"), bundles.agent("b", INAETICS_DEBUG_PORT=str(DEBUG_PORT))
    for agent in (without, debugged):
        eventually(lambda agent=agent: agent.said("started"), within_s=60, what="it started")  # type: ignore[misc]
        assert listens(agent.address, SHELL_PORT)
    assert not listens(without.address, DEBUG_PORT)
    assert "deployer" in debugger_sees(debugged.address)
    assert debugged.stop()[0] == 0


def debugger_sees(address: str) -> list[str]:
    """The names of an agent's threads, asked as an editor does."""
    with socket.create_connection((address, DEBUG_PORT), timeout=10) as stream, stream.makefile("rb") as incoming:

        def ask(sequence: int, command: str, **arguments: Any) -> None:
            request = {"seq": sequence, "type": "request", "command": command, "arguments": arguments}
            body = json.dumps(request).encode()
            stream.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

        def answer(command: str) -> Any:
            while True:
                length = int(incoming.readline().split(b":")[1])
                incoming.readline()
                message = json.loads(incoming.read(length))
                if message.get("command") == command:
                    return message["body"]

        ask(1, "initialize", adapterID="test")
        answer("initialize")
        ask(2, "attach")
        ask(3, "threads")
        return [thread["name"] for thread in answer("threads")["threads"]]


def test_wrong_environment_is_named(bundles: Site) -> None:
    agent = bundles.agent("a", INAETICS_PAGE_PORT="eighty")
    assert agent.wait() == 2
    assert "INAETICS_PAGE_PORT is 'eighty'" in agent.said("cannot start")[0]["error"]


def test_second_agent_on_one_address_says_what_is_taken(bundles: Site) -> None:
    agent = bundles.agent("a")
    eventually(lambda: agent.said("started"), within_s=60, what="it started")
    second = bundles.agent("b", INAETICS_ADDRESS=agent.address)
    assert second.wait() == 3
    assert f"{agent.address}" in second.said("cannot start")[0]["error"]
    assert "in use" in second.said("cannot start")[0]["error"]


HANGS = """
    import time, structlog
    structlog.get_logger().info("hangs")
    time.sleep(60)
"""


def test_agent_that_is_killed_in_the_middle_of_an_install_starts_whole(bundles: Site, tmp_path: Path) -> None:
    packed(tmp_path, "greeter", "1.3.0", init=GREETER % "late" + HANGS)
    bundles.provisioning()
    agent = bundles.agent("a")
    deployed(agent, "greeter-1.0.0", "watcher-1.0.0")
    bundles.map_all(a=["greeter@1.3.0", "watcher"])
    eventually(lambda: agent.said("hangs"), within_s=60, what="the install is under way")
    agent.kill()
    agent.start()
    eventually(lambda: len(agent.said("hangs")) == 2, within_s=60, what="it is tried again")
    eventually(lambda: watch(agent)["said"] == ["hello"], within_s=60, what="what ran last runs meanwhile")
    bundles.map_all(a=["greeter@1.1.0", "watcher"])
    agent.kill()
    agent.start()
    eventually(lambda: watch(agent)["said"] == ["good day"], within_s=60, what="the next deployment runs")


SAYS = """
    from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Property, Provides, Validate

    @ComponentFactory(f"{__name__}.says")
    @Provides(HTTP_SERVLET)
    @Property("_path", HTTP_SERVLET_PATH, "/says")
    @Instantiate(f"{__name__}.says")
    class Says:
        @Validate
        def validate(self, context):
            self._word = context.get_property("my.word")

        def do_GET(self, request, response):
            response.send_content(200, '"%s"' % self._word, "application/json")
"""


def test_a_unit_sets_properties_for_bundles_and_none_of_the_agents_own(site: Site, tmp_path: Path) -> None:
    packed(tmp_path, "says", init=SAYS)
    site.map_all(a=["says"])
    site.provisioning()
    agent = site.agent("a", INAETICS_PROPERTIES="my.word=a=b other.word=1")
    wrong = site.agent("b", INAETICS_PROPERTIES="inaetics.agent=c")
    assert wrong.wait() == 2
    (said,) = wrong.said("cannot start")
    assert "sets inaetics.agent: the agent says that itself" in said["error"]
    deployed(agent, "says-1.0.0")
    assert agent.json("/says") == "a=b"
