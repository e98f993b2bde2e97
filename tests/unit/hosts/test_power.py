"""The power switch: what it is asked, what it runs, and that it ends."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.api.power import turn
from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.hosts import power, power_switch
from inaetics.hosts.paths import ClusterPaths
from tests.support.eventually import eventually


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    (tmp_path / "run").mkdir()
    return ClusterPaths(name="demo", state=tmp_path / "demo", run=tmp_path / "run")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The programs that the switch would run; one for worker-9 fails as `kill` does for a host that is not there."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command[command.index(power.PROGRAM) + 1 :])
        if command[-1] == "worker-9":
            return subprocess.CompletedProcess(command, 1, stdout=b'{"kind": "NotFound", "error": "no worker-9"}')
        if command[-1] == "worker-8":
            return subprocess.CompletedProcess(command, -9, stdout=b"")
        return subprocess.CompletedProcess(command, 0, stdout=b"")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.fixture
def switch(paths: ClusterPaths, ran: list[list[str]]) -> Iterator[Path]:
    place = paths.switch
    thread = threading.Thread(target=power_switch.serve, args=(paths,))
    thread.start()
    eventually(place.exists, within_s=10, what="it listens")
    yield place
    place.unlink(missing_ok=True)
    thread.join(10)
    assert not thread.is_alive(), "it ends with its socket"


def asked(switch: Path | None, action: str, host: str) -> None:
    asyncio.run(turn(switch, action, host))


def test_it_runs_a_program_for_each_wish(switch: Path, ran: list[list[str]]) -> None:
    asked(switch, "kill", "worker-3")
    asked(switch, "start", "worker-3")
    assert ran == [["kill", "demo", "worker-3"], ["start", "demo", "worker-3"]]


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [("worker-9", NotFound, "no worker-9"), ("worker-8", Unavailable, "kill worker-8 failed")],
)
def test_what_goes_wrong_is_told(switch: Path, host: str, error: type[InaeticsError], words: str) -> None:
    with pytest.raises(error, match=words):
        asked(switch, "kill", host)


@pytest.mark.parametrize("wish", ["destroy worker-1", "kill ../x", "kill", "kill a b", "kill ;"])
def test_it_does_nothing_else(switch: Path, ran: list[list[str]], wish: str) -> None:
    action, _, host = wish.partition(" ")
    with pytest.raises(InvalidInput, match="does not understand"):
        asked(switch, action, host)
    assert ran == []


def test_only_its_owner_may_ask(switch: Path) -> None:
    assert stat.S_IMODE(switch.stat().st_mode) == 0o600


def test_whoever_asks_nothing_holds_nobody_up(switch: Path, ran: list[list[str]]) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(switch))
        asked(switch, "kill", "worker-1")
    assert ran == [["kill", "demo", "worker-1"]]


def test_without_a_switch_it_is_said(paths: ClusterPaths) -> None:
    with pytest.raises(Conflict, match="machines of their own"):
        asked(None, "kill", "worker-1")
    with pytest.raises(Unavailable, match="does not answer"):
        asked(paths.switch, "kill", "worker-1")
