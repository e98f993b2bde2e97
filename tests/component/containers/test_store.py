"""Stores: apart from each other, cleared after a power cut, gone when removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path

from inaetics.containers.findings import Findings
from inaetics.containers.shortcut import LONGEST
from inaetics.containers.store import prepare, recover, remove
from inaetics.units.container import ContainerEngine
from tests.component.containers.conftest import Host, Hosts
from tests.component.containers.tiny import containers, groups_named, import_tiny, podman
from tests.support.eventually import eventually

IMAGE = "localhost/tiny:latest"


def start(host: Host, *flags: str) -> None:
    """Run a container named `c` that stays, with nobody above it but its monitor."""
    podman(host.engine, "run", "--detach", "--name", "c", "--network", "host", *host.engine.run_flags, *flags, IMAGE)


def cut_power(engine: ContainerEngine) -> None:
    """Kill the container and its monitor at once, so that nothing cleans up after them."""
    state = json.loads(podman(engine, "inspect", "c"))[0]["State"]
    for pid in (state["ConmonPid"], state["Pid"]):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{state['Pid']}/exe").exists(), within_s=30, what="the container is dead")


def test_stores_do_not_see_each_other(hosts: Hosts) -> None:
    one, other = hosts(), hosts()
    import_tiny(one.engine, IMAGE, "sleep 100")
    start(one)
    assert containers(one.engine) == ["c"]
    assert containers(other.engine) == []
    assert podman(other.engine, "images", "--quiet") == ""
    podman(one.engine, "rm", "--force", "--time", "0", "c")


def test_a_second_store_in_use_does_not_disturb_the_first(hosts: Hosts) -> None:
    """podman's usual locks are shared by all stores of a user, and the first use of another store frees them all."""
    one = hosts()
    import_tiny(one.engine, IMAGE, "sleep 100")
    start(one)
    podman(hosts().engine, "ps")
    podman(one.engine, "run", "--detach", "--name", "d", "--network", "host", IMAGE)
    locks = list((one.store.tmpdir / "locks").iterdir())
    assert len(locks) == 2, f"two containers need two locks of their own store, not {locks}"
    recover(one.engine)
    assert containers(one.engine) == []


def test_after_a_power_cut_the_name_is_free_again(hosts: Hosts) -> None:
    host = hosts()
    import_tiny(host.engine, IMAGE, "sleep 100")
    start(host)
    cut_power(host.engine)
    assert containers(host.engine) == ["c"], "podman still believes in the container"
    recover(host.engine)
    assert containers(host.engine) == []
    start(host)
    recover(host.engine)
    assert containers(host.engine) == []


def test_after_a_power_cut_published_ports_are_free_again(hosts: Hosts) -> None:
    host = hosts()
    import_tiny(host.engine, IMAGE, "echo hello > /index.html; httpd -f -p 80 -h /")
    publish = ("run", "--detach", "--name", "c", "--publish", "127.64.9.9:8099:80", IMAGE)
    for _ in range(2):
        podman(host.engine, *publish)
        answer = eventually(lambda: _get("http://127.64.9.9:8099/"), within_s=30, what="the published port answers")
        assert answer == "hello\n"
        cut_power(host.engine)
        recover(host.engine)
        assert "8099" not in _firewall()


def test_the_engine_works_below_a_long_run_directory(hosts: Hosts, findings: Findings, tmp_path: Path) -> None:
    store = replace(hosts().store, runroot=tmp_path / ("x" * LONGEST))
    engine = prepare(store, findings)
    import_tiny(engine, IMAGE, "sleep 100")
    podman(engine, "run", "--detach", "--name", "c", "--network", "host", IMAGE)
    assert containers(engine) == ["c"]
    link = Path(engine.command[engine.command.index("--runroot") + 1])
    assert link.is_symlink()
    remove(store, engine)
    assert not link.is_symlink()
    assert not store.runroot.exists()


def test_removing_ends_what_runs_and_leaves_nothing(hosts: Hosts) -> None:
    host = hosts()
    import_tiny(host.engine, IMAGE, "sleep 100")
    start(host)
    pid = json.loads(podman(host.engine, "inspect", "c"))[0]["State"]["Pid"]
    remove(host.store, host.engine)
    assert not Path(f"/proc/{pid}/exe").exists()
    assert not any(place.exists() for place in (host.store.root, host.store.runroot, host.store.settings))
    assert str(host.store.root) not in Path("/proc/self/mountinfo").read_text()
    assert not groups_named(host.store.cgroup.strip("/"))
    remove(host.store, host.engine)


def test_removing_after_a_power_cut_leaves_nothing(hosts: Hosts) -> None:
    host = hosts()
    import_tiny(host.engine, IMAGE, "sleep 100")
    start(host)
    cut_power(host.engine)
    remove(host.store, host.engine)
    assert not host.store.root.exists()
    assert str(host.store.root) not in Path("/proc/self/mountinfo").read_text()


def _firewall() -> str:
    """The rules that forward ports; without root a process of the container's does that instead."""
    if os.getuid() != 0:
        return ""
    return subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return str(answer.read().decode())
