"""A child does nothing before it is let go; and what cannot be run is told apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.supervisor.spawn import EXIT_CHDIR, EXIT_EXEC, Gate, Launch, spawn


@pytest.fixture
def null() -> Iterator[int]:
    fd = os.open("/dev/null", os.O_WRONLY)
    yield fd
    os.close(fd)


def _touch(path: Path, null: int) -> Launch:
    return Launch(
        program="/usr/bin/touch", argv=("touch", str(path)), environment={}, directory="/", output=null, error=null
    )


def _status(gate: Gate) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(gate.pid, 0)[1])


def test_a_child_runs_when_its_gate_is_opened(tmp_path: Path, null: int) -> None:
    gate = spawn(_touch(tmp_path / "ran", null))
    assert not (tmp_path / "ran").exists()
    gate.open()
    assert _status(gate) == 0
    assert (tmp_path / "ran").exists()


def test_a_child_whose_supervisor_is_gone_never_runs(tmp_path: Path, null: int) -> None:
    gate = spawn(_touch(tmp_path / "ran", null))
    gate.shut()  # the same as when the supervisor dies: the pipe ends
    assert _status(gate) == 0
    assert not (tmp_path / "ran").exists()


def test_a_child_killed_at_its_gate_is_no_error(tmp_path: Path, null: int) -> None:
    gate = spawn(_touch(tmp_path / "ran", null))
    os.kill(gate.pid, signal.SIGKILL)
    os.waitid(os.P_PID, gate.pid, os.WEXITED | os.WNOWAIT)
    gate.open()
    assert _status(gate) == -signal.SIGKILL


def test_a_child_has_a_session_of_its_own_and_plain_signals(tmp_path: Path, null: int) -> None:
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        gate = spawn(_touch(tmp_path / "ran", null))
        while os.getsid(gate.pid) != gate.pid:
            os.sched_yield()
        os.kill(gate.pid, signal.SIGTERM)
        assert _status(gate) == -signal.SIGTERM
        gate.shut()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


@pytest.mark.parametrize(
    ("program", "directory", "status"),
    [("/no/such", "/", EXIT_EXEC), ("/usr/bin/touch", "/no/such", EXIT_CHDIR)],
)
def test_what_cannot_be_run_has_a_status_of_its_own(
    program: str, directory: str, status: int, null: int, tmp_path: Path
) -> None:
    launch = Launch(program=program, argv=("x",), environment={}, directory=directory, output=null, error=null)
    gate = spawn(launch, tell_executed=True)
    gate.open()
    assert _status(gate) == status
    assert gate.executed is not None
    assert os.read(gate.executed, 1) == b"!"
    os.close(gate.executed)


def test_it_is_told_that_the_program_runs(tmp_path: Path, null: int) -> None:
    gate = spawn(_touch(tmp_path / "ran", null), tell_executed=True)
    gate.open()
    assert gate.executed is not None
    assert os.read(gate.executed, 1) == b""
    os.close(gate.executed)
    assert _status(gate) == 0
