"""Ends a test's cluster when its standard input closes, which even the death of the test run does.

`python -m tests.fault.watchdog STATE RUN HOST,… NAMESPACE,…`. There is no other way in which such a cluster ends, so
the way that matters after a crash is the one that every run takes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.processes import power_cut
from tests.fault.network import remove


def main(state: str, run: str, hosts: str, namespaces: str) -> None:
    sys.stdin.buffer.read()
    paths = ClusterPaths(name=Path(state).name, state=Path(state), run=Path(run))
    try:
        power_cut([paths.host(name) for name in hosts.split(",")])
    finally:
        remove(namespaces.split(","))
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
