"""What every test keeps: nothing it started outlives it.

Every process below carries INAETICS_TEST in its environment, through any number of forks and sessions, so that what
was left behind is found even when it was adopted by init.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from inaetics.supervisor import procfs
from tests.support.eventually import eventually

_MARK = f"INAETICS_TEST={os.getpid()}"
os.environ["INAETICS_TEST"] = str(os.getpid())

# An example may take as long as it takes: that depends on what else the machine does. Half the usual number of them:
# every run tries others, and there are many runs.
settings.register_profile("inaetics", deadline=None, max_examples=50)
settings.load_profile("inaetics")

# A shell starts its background jobs with SIGINT ignored, and every program they run inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _left_behind() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        ours = _MARK.encode() in procfs.environment(int(entry.name))
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if command and ours:
            found.append(f"{entry.name} {command[:200]}")
    return sorted(found)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Whatever a test has set about logs ends with it: else it would decide what the next one's logger leaves out.

    What holds for the whole module stays.
    """
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the module when a process it started is still there a few seconds after its last test."""
    before = set(_left_behind())
    yield

    def gone() -> bool:
        left = [line for line in _left_behind() if line not in before]
        assert not left, "left behind: " + "; ".join(left)
        return True

    eventually(gone, within_s=5, what="every process started by these tests has ended")
