"""Sets the rights in a cluster's store, from beside its hosts: `python -m tests.fault.confine STATE RUN`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from inaetics.hosts.cluster import load
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.rights import confine


def main(state: str, run: str) -> None:
    paths = ClusterPaths(name=Path(state).name, state=Path(state), run=Path(run))
    asyncio.run(confine(load(paths), paths))


if __name__ == "__main__":
    main(*sys.argv[1:])
