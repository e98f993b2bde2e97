"""What /proc tells of a process at the moments when it tells little."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from inaetics.supervisor import procfs


@contextmanager
def sleeper(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "1000"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_environment_of_a_program_that_has_only_just_begun() -> None:
    # About every fifth of these shows an empty environment to a reader who does not wait.
    for number in range(60):
        with sleeper({"INAETICS_UNIT": f"a.service@{number}"}) as process:
            assert procfs.marker(process.pid) == f"a.service@{number}"


def test_program_without_an_environment_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with sleeper({}) as process:
        procfs.environment(process.pid)  # whatever it is now, afterwards it is a program
        monkeypatch.setattr(procfs, "time", None)
        assert procfs.environment(process.pid) == []


def test_who_ended_or_never_was_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "time", None)
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert procfs.environment(process.pid) == []
    process.wait()
    assert procfs.environment(process.pid) == []
