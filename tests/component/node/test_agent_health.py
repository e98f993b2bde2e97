"""What an agent says of itself: health, metrics, and the commands of its shell."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tests.support.agents import SHELL_PORT, Program, Site, deployed
from tests.support.bundles import packed
from tests.support.eventually import eventually

CLOCK = """
    import structlog, threading
    from pelix.constants import BundleActivator

    log = structlog.get_logger()

    @BundleActivator
    class Activator:
        def start(self, context):
            log.info("clock ticks", hour=3)
            {start}
        def stop(self, context):
            {stop}
"""


def shell(agent: Program, *commands: str) -> str:
    """What the agent's shell answers, as telnet shows it."""
    with socket.create_connection((agent.address, SHELL_PORT), timeout=10) as stream, stream.makefile("rw") as text:
        for command in (*commands, "echo the-end"):
            text.write(command + "\n")
        text.flush()
        said = ""
        while "the-end" not in said:
            line = text.readline()
            assert line, said
            said += line
        return said


def health(agent: Program, *, status: int) -> dict[str, Any]:
    got, body = agent.get("/health")
    assert got == status, body
    found: dict[str, Any] = json.loads(body)
    return found


def test_agent_tells_how_it_is(site: Site, tmp_path: Path) -> None:
    packed(tmp_path, "clock", "1.0.0", init=CLOCK.format(start="pass", stop="threading.Event().wait()"))
    packed(tmp_path, "clock", "1.1.0", init=CLOCK.format(start="raise OSError('no time')", stop="pass"))
    packed(tmp_path, "clock", "1.2.0", init=CLOCK.format(start="pass", stop="pass"))
    site.map_all(a=["clock@1.0.0"])
    site.provisioning()
    agent = site.agent("a")
    deployed(agent, "clock-1.0.0", within_s=60)
    well = health(agent, status=200)
    assert (well["healthy"], well["bundles"], well["installed"]) == (True, ["clock-1.0.0"], 1)

    site.map_all(a=["clock@1.1.0"])
    eventually(lambda: agent.said("deployment refused"), within_s=40, what="it is refused")
    ill = health(agent, status=503)
    assert "no time" in ill["reasons"][0]
    assert ill["bundles"] == ["clock-1.0.0"]

    said = shell(agent, "agent.logs clock", "agent.level error clock", "agent.status", "bl", "agent.level loud")
    assert "clock ticks hour=3" in said
    assert "'loud' is no level of logs" in said
    assert "clock_1_0_0" in said, "Pelix's own list of bundles"
    site.map_all(a=["clock@1.2.0"])
    deployed(agent, "clock-1.2.0", within_s=60)
    assert len(agent.said("clock ticks")) == 2, "the third was dropped: it is no error"
    hangs = health(agent, status=503)
    assert hangs["refusal"] == ""
    assert (hangs["hanging"][0]["bundle"], hangs["hanging"][0]["doing"]) == ("clock-1.0.0", "stop")
    metrics = agent.get("/metrics")[1].decode()
    assert "inaetics_agent_healthy 0\n" in metrics
    assert 'inaetics_agent_deployments_total{result="installed"} 2\n' in metrics
    assert "inaetics_agent_hanging_threads 1\n" in metrics
