"""A process made the quick way is as one that was forked; and what cannot be run is told apart."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from inaetics.supervisor.fork import EXIT_CHDIR, EXIT_EXEC, fork
from inaetics.supervisor.launch import Account, Child, Launch
from inaetics.supervisor.spawn import can_be_quick, spawn

Way = Callable[[Launch], Child]


@pytest.fixture
def null() -> Iterator[int]:
    fd = os.open("/dev/null", os.O_WRONLY)
    yield fd
    os.close(fd)


@pytest.fixture(params=[spawn, fork], ids=["quick", "forked"])
def way(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


def _shell(script: str, output: int) -> Launch:
    return Launch(
        program="/bin/sh",
        argv=("sh", "-c", script),
        environment={"PATH": "/usr/bin:/bin"},
        directory="/",
        output=output,
        error=output,
    )


def _said(way: Way, script: str, path: Path, **more: object) -> str:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        assert _status(way(replace(_shell(script, fd), **more))) == 0  # type: ignore[arg-type]
    finally:
        os.close(fd)
    return path.read_text().strip()


def _status(child: Child) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])


def test_what_runs_a_line_of_ours_in_the_child_is_forked(null: int) -> None:
    plain = _shell("true", null)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert can_be_quick(replace(plain, limits=((resource.RLIMIT_NOFILE, (64, hard)),), groups=("/g",), home="/h"))
    assert not can_be_quick(replace(plain, limits=((resource.RLIMIT_NOFILE, (64, 64)),)))
    assert not can_be_quick(replace(plain, limits=((resource.RLIMIT_CORE, (0, 0)),)))
    assert not can_be_quick(replace(plain, account=Account(uid=1, gid=1, groups=())))
    assert not can_be_quick(replace(plain, steps=((1, False, lambda: None),)))
    assert not can_be_quick(replace(plain, groups=("/g",)))
    assert not can_be_quick(replace(plain, groups=("/g", "/limits"), home="/h"))


def test_a_child_has_what_was_asked_for(way: Way, tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    script = "umask; pwd; ulimit -Sn; echo $A; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leads; cat"
    limits = ((resource.RLIMIT_NOFILE, (77, hard)),)
    said = _said(way, script, tmp_path / "o", umask=0o027, directory="/usr", limits=limits, environment={"A": "b"})
    assert said.split() == ["0027", "/usr", "77", "b", "leads"]


def test_the_supervisor_is_afterwards_as_it_was(way: Way, tmp_path: Path) -> None:
    def seen() -> tuple[object, ...]:
        mask = os.umask(0o022)
        os.umask(mask)
        return (
            mask,
            os.getcwd(),
            resource.getrlimit(resource.RLIMIT_NOFILE),
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        )

    before, hard = seen(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = ((resource.RLIMIT_NOFILE, (77, hard)),)
    _said(way, "true", tmp_path / "o", umask=0o077, directory="/usr", limits=limits)
    assert seen() == before


_OF_THE_LIBRARY = 0b11 << 31
"""Signals 32 and 33 are the C library's own: nobody can set them, and some programs leave them ignored."""


@pytest.mark.parametrize(("ignore", "mask"), [(True, "1000"), (False, "0")])
def test_a_child_has_plain_signals(way: Way, ignore: bool, mask: str, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
        fd = os.open(tmp_path / "o", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        launch = replace(
            _shell(script, fd), program="/bin/grep", argv=("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
        )
        assert _status(way(replace(launch, ignore_sigpipe=ignore))) == 0
        os.close(fd)
        child = way(_shell("exec sleep 1000", os.open("/dev/null", os.O_WRONLY)))
        os.kill(child.pid, signal.SIGTERM)
        assert _status(child) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, hung_up)
    said = dict(line.split(":\t") for line in (tmp_path / "o").read_text().splitlines())
    seen = {name: f"{int(value, 16) & ~_OF_THE_LIBRARY:x}" for name, value in said.items()}
    assert seen == {"SigBlk": "0", "SigIgn": mask}


def test_a_child_inherits_no_file(way: Way, tmp_path: Path) -> None:
    kept = os.open("/etc/passwd", os.O_RDONLY)
    try:
        # The three and the directory itself; whoever runs the tests may have left some to everybody.
        assert _said(way, "ls /proc/self/fd | wc -l", tmp_path / "o") == str(4 + len(_given_to_all()))
    finally:
        os.close(kept)


def _given_to_all() -> list[int]:
    """Files of this process that every program it runs inherits, but for the three."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the directory's own
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


@pytest.mark.parametrize(
    ("program", "directory", "status"),
    [("/no/such", "/", EXIT_EXEC), ("/usr/bin/touch", "/no/such", EXIT_CHDIR)],
)
def test_what_cannot_be_run_has_a_status_of_its_own(program: str, directory: str, status: int, tmp_path: Path) -> None:
    error = os.open(tmp_path / "o", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    launch = Launch(program=program, argv=("x",), environment={}, directory=directory, output=error, error=error)
    child = spawn(launch, tell_executed=True)
    os.close(error)
    assert not child.ran
    assert _status(child) == status
    assert child.executed is not None
    assert os.read(child.executed, 1) == b"!"
    os.close(child.executed)
    assert (tmp_path / "o").read_text().startswith(f"supervisor: cannot run {program}: ")


def test_a_quick_child_runs_its_program_when_it_is_there(null: int) -> None:
    child = spawn(_shell("exec sleep 1000", null), tell_executed=True)
    assert child.ran
    os.kill(child.pid, signal.SIGKILL)
    assert _status(child) == -signal.SIGKILL


def test_it_is_told_that_a_forked_program_runs(null: int) -> None:
    child = fork(_shell("true", null), tell_executed=True)
    assert child.executed is not None
    assert os.read(child.executed, 1) == b""
    os.close(child.executed)
    assert _status(child) == 0
