"""restart, exec, ssh, logs and journal -f against a whole fleet, through real agents' servers."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from inaetics.api import bounds
from inaetics.api.client import FleetClient
from inaetics.api.exec_client import run_in_unit
from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.fleet.frames import Kind
from inaetics.fleet.model import MachineId
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

TEXT = "[Service]\nExecStart=/bin/sleep 1000\nEnvironment=COLOUR=green\n"
FLEETCTL = str(Path(sys.executable).parent / "fleetctl")
GLOBAL = TEXT + "\n[X-Fleet]\nGlobal=true\n"


def fleetctl(
    fleet: LiveFleet, *words: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program as people do."""
    command = [FLEETCTL, "--endpoint", f"unix://{fleet.socket}", *words]
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=60, check=False, env={**os.environ, **(environment or {})}
    )


def up(fleet: LiveFleet, *names: str, text: str = TEXT) -> None:
    with fleet.client() as client:
        for name in names:
            client.submit(name, text, desired="launched")
        eventually(
            lambda: all(client.unit(name).unit.active == "active" for name in names), within_s=20, what=f"{names} run"
        )


def test_restart_is_rolling_and_waits(fleet: LiveFleet, client: FleetClient) -> None:
    up(fleet, "hello@1.service", "hello@2.service")
    before = {name: client.unit(name).unit.since for name in ("hello@1.service", "hello@2.service")}
    fleet.script.restarts.clear()
    done = fleetctl(fleet, "restart", "hello@*")
    assert done.returncode == 0, done.stderr
    assert [line.split(b" on ")[0] for line in done.stdout.splitlines()] == [
        b"Unit hello@1.service restarted",
        b"Unit hello@2.service restarted",
    ]
    assert fleet.script.restarts == ["hello@1.service", "hello@2.service"]
    for name, since in before.items():
        now = client.unit(name).unit.since
        assert now is not None
        assert since is not None
        assert now > since


def test_a_restart_that_fails_stops_there_and_says_what_was_left(fleet: LiveFleet) -> None:
    up(fleet, "hello@1.service", "hello@2.service", "hello@3.service")
    fleet.report("hello@2.service", "failed", "failed", "exit-code", "its words")
    done = fleetctl(fleet, "restart", "hello@{1..3}")
    assert done.returncode == 1
    assert b"hello@1.service restarted" in done.stdout
    assert b"its words" in done.stderr
    assert b"not restarted: hello@3.service" in done.stderr


def test_restart_starts_what_is_loaded_and_refuses_what_is_inactive(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("hello.service", TEXT, desired="loaded")
    eventually(lambda: client.unit("hello.service").unit.machine, within_s=20, what="it is loaded")
    assert fleetctl(fleet, "restart", "hello").returncode == 0
    assert client.unit("hello.service").unit.active == "active"
    client.submit("other.service", TEXT)
    refused = fleetctl(fleet, "restart", "other")
    assert refused.returncode == 5
    assert b"it is inactive" in refused.stderr


def test_restart_of_a_global_unit_reaches_every_machine(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("all.service", GLOBAL, desired="launched")
    eventually(lambda: len(client.states().states) == 3, within_s=20, what="it runs everywhere")
    fleet.script.restarts.clear()
    done = fleetctl(fleet, "restart", "all")
    assert (done.returncode, done.stdout.count(b"Triggered global unit all.service restart on worker-")) == (0, 3)
    assert fleet.script.restarts == ["all.service"] * 3
    with pytest.raises(Conflict, match="on several machines"):
        client.restart("all.service")


def test_exec_gives_both_streams_and_the_exit_code(fleet: LiveFleet) -> None:
    up(fleet, "hello.service")
    done = fleetctl(fleet, "exec", "hello", "sh", "-c", "echo $COLOUR; echo oops >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"green\n", b"oops\n")


def test_exec_passes_its_options_on_and_takes_input_only_when_asked(fleet: LiveFleet) -> None:
    up(fleet, "hello.service")
    assert fleetctl(fleet, "exec", "hello", "--", "echo", "-full", "-n").stdout == b"-full -n\n"
    assert fleetctl(fleet, "exec", "-i", "hello", "cat", stdin=b"x" * 300_000).stdout == b"x" * 300_000
    assert fleetctl(fleet, "exec", "hello", "cat", stdin=b"unread").stdout == b""


def test_an_interrupted_exec_takes_its_command_with_it(
    fleet: LiveFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not after the time for which a client may only have said all it had to say."""
    monkeypatch.setattr(bounds, "HALF_CLOSED_S", 90.0)
    up(fleet, "hello.service")
    with following(fleet, "exec", "hello", "sh", "-c", "echo $$; exec sleep 1000") as (process, out, _):
        eventually(lambda: out, within_s=20, what="the command runs")
        process.terminate()
        gone = Path(f"/proc/{out[0].strip()}")
        eventually(lambda: not gone.exists(), within_s=30, what="the command ends at once")


def test_exec_over_tls(fleet: LiveFleet) -> None:
    up(fleet, "hello.service")
    said: list[tuple[Kind, bytes]] = []
    words = ["sh", "-c", "exit 4"]
    status = run_in_unit([fleet.url], fleet.client_tls, "hello.service", words, output=lambda *each: said.append(each))
    assert (status, said) == (4, [])


@pytest.mark.parametrize(
    ("unit", "words", "error", "match"),
    [
        pytest.param("never.service", ["true"], NotFound, "never.service", id="unknown-unit"),
        pytest.param("idle.service", ["true"], NotFound, "on no machine", id="no-machine"),
        pytest.param("hello.service", ["no-such-program"], InaeticsError, "no such program", id="program"),
        pytest.param("hello.service", ["x" * 200_000], InvalidInput, "command line", id="too-long"),
    ],
)
def test_exec_that_cannot_be_says_why(
    fleet: LiveFleet, client: FleetClient, unit: str, words: list[str], error: type[InaeticsError], match: str
) -> None:
    up(fleet, "hello.service")
    client.submit("idle.service", TEXT)
    with pytest.raises(error, match=match):
        run_in_unit([f"unix://{fleet.socket}"], None, unit, words, output=print)


def test_exec_asks_the_next_api_and_names_all_that_are_away(fleet: LiveFleet, tmp_path: Path) -> None:
    up(fleet, "hello.service")
    away = f"unix://{tmp_path}/nobody.sock"
    assert run_in_unit([away, f"unix://{fleet.socket}"], None, "hello.service", ["true"], output=print) == 0
    with pytest.raises(Unavailable, match=r"nobody\.sock"):
        run_in_unit([away], None, "hello.service", ["true"], output=print)


@contextmanager
def following(fleet: LiveFleet, *words: str) -> Iterator[tuple[subprocess.Popen[str], list[str], list[str]]]:
    """A command that goes on; its lines so far."""
    command = [FLEETCTL, "--endpoint", f"unix://{fleet.socket}", *words]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    out: list[str] = []
    err: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=lambda: out.extend(iter(process.stdout.readline, ""))),  # type: ignore[union-attr]
        threading.Thread(target=lambda: err.extend(iter(process.stderr.readline, ""))),  # type: ignore[union-attr]
    ]
    for reader in readers:
        reader.start()
    try:
        yield process, out, err
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        process.stdout.close()
        process.stderr.close()


def test_logs_of_several_units_carry_their_names(fleet: LiveFleet) -> None:
    fleet.script.journals |= {"hello@1.service": ["one"], "hello@12.service": ["two", "three"]}
    up(fleet, "hello@1.service", "hello@12.service")
    done = fleetctl(fleet, "logs", "hello@*", "--lines", "1")
    assert done.stdout.decode() == "hello@1.service  | one\nhello@12.service | three\n"
    assert fleetctl(fleet, "logs", "hello@1").stdout == b"one\n"


def test_logs_of_a_global_unit_come_from_all_its_machines(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.journals["all.service"] = ["hello"]
    client.submit("all.service", GLOBAL, desired="launched")
    eventually(lambda: len(client.states().states) == 3, within_s=20, what="it runs everywhere")
    done = fleetctl(fleet, "logs", "all")
    assert (done.returncode, done.stdout) == (0, b"hello\n" * 3)
    assert b"all.service on worker-2:" in done.stderr


def test_a_machine_without_a_journal_keeps_nobody_from_the_others(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.journals["all.service"] = ["hello"]
    client.submit("all.service", GLOBAL, desired="launched")
    eventually(lambda: len(client.states().states) == 3, within_s=20, what="it runs everywhere")
    first = client.states().states[0].machine
    fleet.script.silent.add(MachineId(first.id))
    done = fleetctl(fleet, "journal", "all")
    assert (done.returncode, done.stdout) == (4, b"hello\n" * 2)
    assert b"has no journal of 'all.service' yet" in done.stderr


@pytest.mark.parametrize("verb", ["journal", "logs"])
def test_the_journal_of_one_machine(fleet: LiveFleet, client: FleetClient, verb: str) -> None:
    fleet.script.journals["all.service"] = ["hello"]
    client.submit("all.service", GLOBAL, desired="launched")
    eventually(lambda: len(client.states().states) == 3, within_s=20, what="it runs everywhere")
    done = fleetctl(fleet, verb, "--machine", "worker-2", "all")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")
    elsewhere = fleetctl(fleet, verb, "--machine", "worker-9", "all")
    assert elsewhere.returncode == 4
    assert b"not on machine 'worker-9'" in elsewhere.stderr
    fleet.script.followers.clear()
    with following(fleet, verb, "-f", "--machine", "worker-9", "all") as (_, out, err):
        told = ["all.service: it is not on machine 'worker-9' but on worker-1, worker-2, worker-3\n"]
        eventually(lambda: err == told, within_s=20, what="it is said that it is elsewhere")
        assert out == []


@pytest.mark.parametrize("verb", ["events", "rollouts"])
def test_what_is_remembered_of_nobody_is_an_error(fleet: LiveFleet, client: FleetClient, verb: str) -> None:
    done = fleetctl(fleet, verb, "--unit", "nobody")
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"no unit 'nobody.service' is submitted" in done.stderr


def test_no_updates_of_a_unit_are_told(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("hello.service", TEXT)
    done = fleetctl(fleet, "rollouts", "--unit", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"no updates of hello.service are remembered\n")


def pinned(number: int) -> str:
    return f"{TEXT}\n[X-Fleet]\nMachineID={number:032x}\n"


def test_logs_follow_a_unit_to_another_machine_and_say_so(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.journals["hello.service"] = ["from the start"]
    fleet.script.followers.clear()
    up(fleet, "hello.service", text=pinned(1))
    with following(fleet, "logs", "-f", "hello") as (_, out, err):
        eventually(lambda: out == ["from the start\n"], within_s=20, what="the first line is shown")
        client.set_desired("hello.service", "inactive")
        eventually(lambda: client.unit("hello.service").unit.machine is None, within_s=20, what="it is off")
        client.submit("hello.service", pinned(3), desired="launched", replace=True)
        eventually(lambda: len(out) == 2, within_s=20, what="it is read on its new machine")
        # Between the two it may be seen waiting for the engine: that line is true as well, and said only then.
        moved = ["hello.service: it is on worker-3 now (was on worker-1)\n"]
        eventually(lambda: [line for line in err if "it waits" not in line] == moved, within_s=20, what="it is told")
        client.destroy("hello.service")
        eventually(lambda: err[-1] == "hello.service: it was destroyed\n", within_s=20, what="its end is told")


def test_journal_follows_too(fleet: LiveFleet) -> None:
    fleet.script.journals["hello.service"] = ["one", "two"]
    fleet.script.followers.clear()
    up(fleet, "hello.service")
    with following(fleet, "journal", "-f", "--lines=1", "hello") as (_, out, _):
        eventually(lambda: out == ["two\n"], within_s=20, what="the last line is shown")
        fleet._loop.call_soon_threadsafe(fleet.script.followers.set)
        eventually(lambda: "and then this\n" in out, within_s=20, what="new lines are shown")


@pytest.fixture
def ssh(tmp_path: Path) -> dict[str, str]:
    """A program `ssh` that says what it was told."""
    program = tmp_path / "ssh"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "INAETICS_HOME": str(tmp_path)}


def test_ssh_finds_the_machine_by_every_name(fleet: LiveFleet, client: FleetClient, ssh: dict[str, str]) -> None:
    up(fleet, "hello.service")
    machine = client.unit("hello.service").unit.machine
    assert machine is not None
    for words in (["hello"], ["--unit", "hello"], [machine.name], [machine.id], ["--machine", machine.address]):
        done = fleetctl(fleet, "ssh", *words, environment=ssh)
        assert done.stdout.decode().split() == ["-p", "22", machine.address], done.stderr
    done = fleetctl(fleet, "ssh", "-A", "--ssh-port=2222", "hello", "ls", "-l", environment=ssh)
    assert done.stdout.decode() == f"-A -p 2222 {machine.address} -- ls -l\n"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ((), 2, b"a machine or a unit is missing"),
        (("--machine", "a", "--unit", "b"), 2, b"both --machine and --unit"),
        (("nobody",), 4, b"neither a machine nor a unit"),
        (("--machine", "0000"), 2, b"the beginning of 3 machines' ids"),
        (("--unit", "nobody"), 4, b"nobody.service"),
    ],
)
def test_ssh_that_cannot_be_says_why(
    fleet: LiveFleet, ssh: dict[str, str], words: tuple[str, ...], code: int, why: bytes
) -> None:
    done = fleetctl(fleet, "ssh", *words, environment=ssh)
    assert (done.returncode, why in done.stderr) == (code, True), done.stderr
