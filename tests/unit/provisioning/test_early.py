"""A program of a container that is stopped while it still reads its modules ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = "import time; print('reading', flush=True); time.sleep(60)\n"
"""A module of a library, on a machine that is busy."""


@pytest.mark.parametrize("program", ["inaetics.node", "inaetics.provisioning"])
def test_a_program_ends_that_is_still_being_read(program: str, tmp_path: Path) -> None:
    (tmp_path / "structlog.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-m", program], env=environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"reading\n"
        running.send_signal(signal.SIGTERM)
        # -15 would be what the kernel does to a process without a handler, and not to the first one of a container.
        assert running.wait(30) == 0
