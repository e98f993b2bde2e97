"""A real Apache Felix beside Python agents: software from provisioning, calls both ways, a share of the pipeline."""

from __future__ import annotations

import json
import shutil
import socket
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

from inaetics import resources
from inaetics.cli.bundle_work import build_folders
from inaetics.node.remote.client import Peer
from inaetics.node.remote.tls import tls_contexts
from tests.component.java.conftest import JavaSite
from tests.support.agents import Program, deployed
from tests.support.eventually import eventually

SLOW = Path(__file__).parent / "slow"
STORING = ("statistics", "queue", "datastore", "accounting", "producer", "viewer")


@pytest.mark.timeout(300)  # it compiles, and starts a machine of its own
def test_a_java_processor_works_beside_python_agents(site: JavaSite) -> None:
    """The queue, the datastore and the page are Python's; the only processor is Java's."""
    with as_file(files("inaetics.demonstrator") / "bundles") as folder:
        build_folders([folder / name for name in STORING], site.bundles)
    build_folders([resources.java_directory() / "processor_java"], site.bundles)
    both = f"""
        [[rules]]
        target = "felix@1"
        install = {json.dumps(STORING)}
        [[rules]]
        target = "java@1"
        language = "java"
        install = ["processor_java"]
    """
    site.set_mapping(both)
    server, felix, java = site.provisioning(), site.agent("felix@1"), site.java_agent("java@1")
    deployed(java, "processor_java-1.0.0", within_s=60)

    def graph() -> dict[str, float]:
        """What the page, which Python's viewer serves, shows of the Java agent."""
        series = statistics(felix).get("java@1", {}).get("series", [])
        return {each["name"]: each["points"][-1][1] for each in series if each["points"]}

    eventually(
        lambda: graph().get("processed", 0) > 0, within_s=60, what="the page shows what the Java agent processes"
    )
    stored = eventually(lambda: accounting(felix)["stored"], within_s=30, what="samples are stored")
    assert stored > 0
    assert accounting(felix)["holds"], accounting(felix)
    assert json.loads(java.get("/health")[1])["bundles"] == ["processor_java-1.0.0"]
    assert "inaetics_agent_healthy 1\n" in java.get("/metrics")[1].decode()
    assert "org.apache.felix.gogo.shell" in shell(java, "lb -s", until="processor_java")

    def entries() -> list[tuple[str, list[str]]]:
        found = [json.loads(entry) for entry in site.values("/inaetics/node-provisioning-log/entries/java@1/")]
        return [(entry["event"], entry.get("started", [])) for entry in found[:2]]

    wanted = [("given", []), ("installed", ["processor_java-1.0.0"])]
    eventually(lambda: entries() == wanted, within_s=30, what="what came of it is written down")

    # What is not for Java is refused there, in words, and what ran goes on.
    site.set_mapping('[[rules]]\ntarget = "java@1"\ninstall = ["statistics"]\n' + both)
    eventually(lambda: java.get("/health")[0] == 503, within_s=30, what="the Python bundle is refused")
    health = json.loads(java.get("/health")[1])
    assert "bundle statistics-1.0.0 is for Python agents" in health["refusal"]
    assert health["bundles"] == ["processor_java-1.0.0"]
    eventually(lambda: server.said("report", target="java@1", state="failed"), within_s=30, what="it is reported")

    status, seconds = java.stop()
    assert (status in {0, 143}, seconds < 10) == (True, True), (status, seconds)
    eventually(lambda: "java@1" not in statistics(felix, live=True), within_s=20, what="the Java agent is gone")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_call_under_way_is_answered_by_the_version_that_took_it(site: JavaSite, tmp_path: Path) -> None:
    """While the old version answers it, its endpoint's other calls go to the new one; it is stopped afterwards."""

    def publish(version: str) -> None:
        folder = tmp_path / version / "slow"
        shutil.copytree(SLOW, folder)
        manifest = json.loads((folder / "bundle.json").read_text()) | {"version": version}
        (folder / "bundle.json").write_text(json.dumps(manifest))
        build_folders([folder], site.bundles)
        site.set_mapping('[[rules]]\ntarget = "java@1"\nlanguage = "java"\ninstall = ["slow"]')

    def exported() -> dict[str, Any]:
        """The properties of the only endpoint there is."""
        found = [json.loads(value)["properties"] for value in site.values("/inaetics/discovery/")]
        assert [each["objectClass"] for each in found] == [["slow.Slow"]]
        return dict(found[0])

    publish("1.0.0")
    site.provisioning()
    java = site.java_agent("java@1")
    deployed(java, "slow-1.0.0", within_s=60)
    old = eventually(exported, within_s=30, what="it is announced")
    address, port = old["ecf.endpoint.id"].removeprefix("inaetics://").split(":")
    tls = tls_contexts(Path(site.environment["INAETICS_TLS_DIR"])).client
    peer = Peer(address, int(port), framework=old["endpoint.framework.uuid"], me="tester", tls=tls)
    try:

        def call(method: str, endpoint: str = old["endpoint.id"]) -> Any:
            return peer.call(endpoint, method, [], {}, timeout_s=30)

        assert call("version") == "1.0.0"
        under_way = peer.call_later(old["endpoint.id"], "slowly", [], {}, timeout_s=90)
        eventually(lambda: call("inside") == 1, within_s=30, what="the call has begun")
        publish("2.0.0")
        eventually(lambda: call("version") == "2.0.0", within_s=60, what="the new version answers for the old one")
        assert under_way.result(timeout=60) == "1.0.0"
        deployed(java, "slow-2.0.0")
        assert call("version") == "2.0.0"
        new = eventually(
            lambda: {exported()["endpoint.id"]} - {old["endpoint.id"]},
            within_s=30,
            what="only the new one is announced",
        ).pop()
        assert call("version", new) == "2.0.0"
    finally:
        peer.close()


def statistics(agent: Program, *, live: bool = False) -> dict[str, dict[str, Any]]:
    """The page's figures, by agent."""
    found = agent.json("/statistics")
    return {each["agent"]: each for each in found["agents"] if not live or not each.get("late")}


def accounting(agent: Program) -> dict[str, float]:
    return agent.json("/systemStats")["accounting"] or {"stored": 0, "holds": True}


def shell(agent: Program, command: str, *, until: str) -> str:
    """What Gogo's shell says to a command, up to a word that is expected."""
    with socket.create_connection((agent.address, 2019), timeout=10) as stream:
        stream.sendall(f"{command}\n".encode())
        said = b""
        while until.encode() not in said:
            part = stream.recv(4096)
            assert part, said
            said += part
    return said.decode(errors="replace")
