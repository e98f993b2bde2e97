"""What a failing program becomes."""

from __future__ import annotations

import errno

import pytest

from inaetics.containers.process import files_for, find_program, run
from inaetics.errors import CommandFailed, NotFound


def test_output_is_returned() -> None:
    assert run(["/bin/cat"], doing="copy", timeout_s=5, stdin=b" hello \n") == "hello"


def test_a_failure_carries_the_programs_own_words_and_status() -> None:
    with pytest.raises(CommandFailed, match=r"(?s)cannot try: sh ended with status 4:\n  it was me") as caught:
        run(["/bin/sh", "-c", "echo it was me >&2; exit 4"], doing="try", timeout_s=5)
    assert (caught.value.status, caught.value.output) == (4, "it was me")


def test_a_signal_is_named() -> None:
    with pytest.raises(CommandFailed, match="sh was ended by signal 9"):
        run(["/bin/sh", "-c", "kill -9 $$"], doing="try", timeout_s=5)


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CommandFailed, match=r"sleep did not end within 0\.1 s"):
        run(["/bin/sleep", "60"], doing="wait", timeout_s=0.1)


def test_a_program_that_is_not_there_names_its_package() -> None:
    with pytest.raises(NotFound, match=r"'no-such-program' is not installed \(Debian package some-package"):
        find_program("no-such-program", package="some-package")


def test_a_full_disk_is_said_to_be_one() -> None:
    with pytest.raises(CommandFailed, match=r"cannot build images: .*the disk is full"), files_for("build images"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_that_a_program_met_too() -> None:
    with pytest.raises(CommandFailed, match="the disk is full"):
        run(["/bin/sh", "-c", "echo 'write /x: no space left on device' >&2; exit 1"], doing="pull", timeout_s=5)
