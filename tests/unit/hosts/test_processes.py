"""What is seen of the processes of hosts at the moments when /proc shows little."""

from __future__ import annotations

import subprocess
from pathlib import Path

from inaetics.hosts import processes
from inaetics.hosts.paths import SUPERVISED


def test_a_program_that_has_only_just_begun_has_its_arguments_and_markers() -> None:
    # About every fifth of these shows neither to a reader who does not wait.
    for number in range(40):
        marker = f"{SUPERVISED}={number}"
        with subprocess.Popen(["/bin/sleep", "1000"], env=dict([marker.split("=")])) as process:
            try:
                seen = processes._read(Path(f"/proc/{process.pid}"))
                assert seen is not None
                assert (seen.arguments, seen.markers) == (("/bin/sleep", "1000"), frozenset({marker}))
            finally:
                process.kill()
