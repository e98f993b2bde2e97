"""fleetctl --tunnel through a real sshd: what works through it, what it says when it cannot, and that nothing stays."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.ssh import SshOptions, host_of
from inaetics.api.tunnel import Tunnel, TunnelledConnection
from inaetics.hosts.paths import run_root
from inaetics.supervisor import procfs
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually
from tests.support.sshd import NOISY_PORT, PORT, STRANGE_PORT, Sshd, running_sshd

SOME_TLS = ["the fleet's certificates"]
TEXT = "[Service]\nExecStart=/bin/sleep 1000\n"
FLEETCTL = str(Path(sys.executable).parent / "fleetctl")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def at(sshd: Sshd, fleet: LiveFleet) -> list[str]:
    """The options that lead to the fleet."""
    return [*there(sshd), "--endpoint", f"unix://{fleet.socket}"]


def there(sshd: Sshd, port: int = PORT) -> list[str]:
    patience = ["--ssh-timeout=60", "--request-timeout=60"]  # the machine may have other things to do
    return [f"--tunnel={sshd.place(port)}", f"--known-hosts-file={sshd.known_hosts}", *patience]


def fleetctl(sshd: Sshd, *words: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program as people do, who have no terminal here."""
    return subprocess.run(
        [FLEETCTL, *words],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env=sshd.environment(**environment),
    )


def up(client: FleetClient, *names: str) -> None:
    for name in names:
        client.submit(name, TEXT, desired="launched")
    eventually(
        lambda: all(client.unit(name).unit.active == "active" for name in names), within_s=20, what=f"{names} run"
    )


def test_units_are_commanded_through_a_socket_of_the_other_machines(
    sshd: Sshd, at: list[str], client: FleetClient, tmp_path: Path
) -> None:
    unit = tmp_path / "hello.service"
    unit.write_text(TEXT)
    done = fleetctl(sshd, *at, "start", str(unit))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"Unit hello.service launched on")
    assert client.unit("hello.service").text == TEXT
    done = fleetctl(sshd, *at, "destroy", "hello.service")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_login_that_talks_spoils_nothing(sshd: Sshd, fleet: LiveFleet) -> None:
    done = fleetctl(sshd, *there(sshd, NOISY_PORT), f"--endpoint={fleet.socket}", "list-machines", "--fields=name")
    assert done.stdout.split()[1:] == [b"worker-1", b"worker-2", b"worker-3"], done.stderr


def test_the_clusters_own_sockets_are_found_over_there_and_another_one_when_an_api_dies(
    sshd: Sshd, fleet: LiveFleet
) -> None:
    cluster = f"tunnel-{os.getpid()}"
    directory = run_root() / cluster
    for host in ("worker-1", "worker-2"):
        (directory / host).mkdir(parents=True)
    dying = socket.socket(socket.AF_UNIX)
    dying.bind(str(directory / "worker-1" / "fleet.sock"))
    dying.listen()
    (directory / "worker-2" / "fleet.sock").symlink_to(fleet.socket)
    dead = threading.Thread(target=die_over_a_request, args=(dying,))
    dead.start()
    try:
        done = fleetctl(sshd, *there(sshd), "--cluster", cluster, "list-machines", "--no-legend")
    finally:
        dead.join(60)
        shutil.rmtree(directory)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr


def die_over_a_request(listening: socket.socket) -> None:
    with listening:
        listening.settimeout(50)
        connection, _ = listening.accept()
        with connection:
            connection.recv(10)


def test_an_https_endpoint_needs_no_shell_and_the_certificate_stays_here(sshd: Sshd, fleet: LiveFleet) -> None:
    tls = fleet.client_tls
    files = [f"--ca-file={tls.ca}", f"--cert-file={tls.cert}", f"--key-file={tls.key}"]
    at = [*there(sshd, STRANGE_PORT), "--endpoint", fleet.url, *files]
    done = fleetctl(sshd, *at, "list-machines", "--no-legend", "--full")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    with fleet.client() as client:
        up(client, "hello.service")
    done = fleetctl(sshd, *at, "exec", "hello", "echo", "from there")
    assert (done.returncode, done.stdout) == (0, b"from there\n"), done.stderr


def test_a_command_in_a_unit_has_its_input_its_output_and_its_exit_code(
    sshd: Sshd, at: list[str], client: FleetClient
) -> None:
    up(client, "hello.service")
    done = fleetctl(sshd, *at, "exec", "-i", "hello", "sh", "-c", "cat; exit 3", stdin=b"x" * 300_000)
    assert (done.returncode, done.stdout) == (3, b"x" * 300_000), done.stderr


@pytest.mark.parametrize(
    ("words", "written", "ends", "end"),
    [
        # One for the journal's lines, one for where the unit is; each has two ends.
        pytest.param(["logs", "-f", "hello"], b"a line\n", 4, signal.SIGINT, id="interrupted"),
        pytest.param(["events", "-f", "--no-legend"], b" submitted ", 2, signal.SIGKILL, id="killed"),
    ],
)
def test_what_is_followed_comes_as_it_is_written_and_its_end_leaves_no_ssh(
    sshd: Sshd,
    at: list[str],
    fleet: LiveFleet,
    client: FleetClient,
    words: list[str],
    written: bytes,
    ends: int,
    end: signal.Signals,
) -> None:
    fleet.script.journals["hello.service"] = ["a line"]
    up(client, "hello.service")
    process = subprocess.Popen(
        [FLEETCTL, *at, *words],
        stdout=subprocess.PIPE,
        env=sshd.environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, b"")))  # type: ignore[union-attr]
    reader.start()
    try:
        eventually(lambda: any(written in line for line in lines), within_s=60, what="it is read")
        eventually(lambda: len(ways()) >= ends, within_s=60, what="both ends of each way are there")
        process.send_signal(end)
        process.wait(60)
        eventually(lambda: not ways(), within_s=20, what="nothing of it is left, on neither side")
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def ways() -> list[str]:
    """The processes at both ends of ways through here: ssh, and what it started over there."""
    mark = f"INAETICS_TEST={os.environ['INAETICS_TEST']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and mark in procfs.environment(int(entry.name)):
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0] == b"ssh" or b"-ISc" in words:
                    found.append(f"{entry.name} {words[0].decode()}")
    return found


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        pytest.param(
            lambda s: ["--tunnel", f"{s.address}:9"], ["Connection refused", "does sshd run there"], 3, id="port"
        ),
        pytest.param(
            lambda s: ["--tunnel", s.place(), "--known-hosts-file=/dev/null"],
            ["Host key verification failed", "accept it once with 'ssh "],
            6,
            id="unknown-host",
        ),
        pytest.param(
            lambda s: [*there(s), "--ssh-username=nobody-here"], ["Permission denied", "ssh-copy-id"], 6, id="user"
        ),
        pytest.param(
            lambda s: [*there(s, STRANGE_PORT)], ["currently not available", "--endpoint https://"], 3, id="no-shell"
        ),
        pytest.param(
            lambda s: [*there(s), "--cluster=nothing"],
            ["no fleet API of cluster 'nothing'", pwd.getpwuid(os.getuid()).pw_name, "inaetics up --cluster nothing"],
            3,
            id="no-cluster",
        ),
        pytest.param(
            lambda s: [*there(s), "--endpoint=unix:///none.sock"],
            ["no fleet API answers at unix:///none.sock through", "No such file or directory"],
            3,
            id="no-socket",
        ),
        pytest.param(
            lambda s: [*there(s), f"--endpoint=https://{s.address}:9", *SOME_TLS],
            ["is meant as", "sees it"],
            3,
            id="no-api",
        ),
    ],
)
def test_what_keeps_it_from_getting_there_is_said_with_what_helps(
    sshd: Sshd, fleet: LiveFleet, options: Callable[[Sshd], list[str]], words: list[str], code: int
) -> None:
    given = options(sshd)
    if given[-1:] == SOME_TLS[-1:]:
        tls = fleet.client_tls
        given = [*given[: -len(SOME_TLS)], f"--ca-file={tls.ca}", f"--cert-file={tls.cert}", f"--key-file={tls.key}"]
    done = fleetctl(sshd, *given, "list-machines")
    said = done.stderr.decode()
    assert all(each in said for each in words), said
    assert (done.returncode, len(said.splitlines())) == (code, 1), said


def test_a_key_that_is_not_taken_is_said(sshd: Sshd, at: list[str]) -> None:
    done = fleetctl(sshd, *at, "list-machines", SSH_AUTH_SOCK=str(sshd.stranger))
    assert b"Permission denied (publickey)" in done.stderr
    assert done.returncode == 6


def test_a_machine_without_ssh_is_told_what_to_install(sshd: Sshd, at: list[str], tmp_path: Path) -> None:
    done = fleetctl(sshd, *at, "list-machines", PATH=str(tmp_path))
    assert b"there is no program 'ssh' here (apt install openssh-client)" in done.stderr
    assert done.returncode == 1


def test_a_way_that_broke_is_made_anew(
    sshd: Sshd, fleet: LiveFleet, client: FleetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(sshd.agent))
    options = SshOptions(known_hosts=sshd.known_hosts, timeout_s=60)
    through = Tunnel(host=host_of(sshd.place(), options, asking=False))
    with FleetClient(f"unix://{fleet.socket}", tunnel=through, timeout_s=60) as far:
        revision = far.units().revision
        connection = far._connection
        assert isinstance(connection, TunnelledConnection)
        first = connection._channel
        assert first is not None
        heard: list[int] = []
        held = threading.Thread(target=lambda: heard.append(far.units(after=revision, wait_s=60).revision))
        held.start()
        eventually(lambda: connection._answering, within_s=20, what="it waits for an answer")
        first._ssh.kill()
        eventually(lambda: far._connection not in (None, connection), within_s=60, what="it asks again")
        client.submit("hello.service", TEXT)
        held.join(60)
        assert len(heard) == 1
        assert heard[0] > revision


def test_a_machine_simulated_over_there_is_entered_by_the_python_that_serves_there(
    sshd: Sshd, fleet: LiveFleet, tmp_path: Path
) -> None:
    python, path = tmp_path / "python 3", tmp_path / "fleet.sock"
    python.write_text('#!/bin/sh\necho "$INAETICS_HOME"; shift 3; printf "%s|" "$@"; exit 7\n')
    python.chmod(0o755)
    at = [*there(sshd), "--endpoint", f"unix://{path}", "ssh"]
    api = subprocess.Popen(
        [sys.executable, "-c", PASSING_ON, str(path), str(fleet.socket)],
        env={**os.environ, "INAETICS_PYTHON": str(python), "INAETICS_HOME": str(tmp_path)},
    )
    try:
        eventually(path.exists, within_s=20, what="it listens")
        done = fleetctl(sshd, *at, "worker-2", "echo", "a  $b")
        assert done.stdout.decode() == f"{tmp_path}\nssh|--cluster|demo|worker-2|--|echo|a  $b|", done.stderr
        assert done.returncode == 7
        done = fleetctl(sshd, *at, "-A", "worker-2")
        assert b"leave --forward-agent out" in done.stderr
        assert done.returncode == 2
    finally:
        api.terminate()
        api.wait(10)


PASSING_ON = """
import asyncio, sys

async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def serve(reader, writer):
    there = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

async def main():
    await (await asyncio.start_unix_server(serve, sys.argv[1])).serve_forever()

asyncio.run(main())
"""


def test_fd_forward_passes_both_directions_and_the_end_of_its_input(tmp_path: Path) -> None:
    path = tmp_path / "any.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        command = [FLEETCTL, "fd-forward", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            connection, _ = listening.accept()
            with connection, process.stdin, connection.makefile("rb") as asked:
                process.stdin.write(b"a question\n")
                process.stdin.flush()
                assert asked.readline() == b"a question\n"
                connection.sendall(b"an answer\n")
                assert process.stdout.readline() == b"an answer\n"
                process.stdin.close()
                assert asked.read() == b"", "the end of what was asked"
                connection.sendall(b"what is left to say")
            assert process.stdout.read() == b"what is left to say"
    assert process.returncode == 0


def test_fd_forward_to_nothing_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [FLEETCTL, "fd-forward", str(tmp_path / "none")], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert b"none: No such file or directory" in done.stderr
