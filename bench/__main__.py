"""`make bench`: every benchmark, one after the other, each printing its table."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    "bench.fleet",
    "bench.plan",
    "bench.simulation",
    "bench.cluster",
    "bench.images",
    "bench.registry",
    "bench.remote",
    "bench.remote_dead",
    "bench.provisioning",
    "bench.bundle_update",
    "bench.pipeline",
    "bench.stores",
    "bench.page",
    "bench.scaling",
)


COMPARING = {
    "bench.fleet",
    "bench.plan",
    "bench.simulation",
    "bench.remote",
    "bench.provisioning",
    "bench.pipeline",
    "bench.page",
    "bench.scaling",
}
"""Those that have a stored baseline."""


def main() -> int:
    """Run them as processes of their own, so that none inherits another's memory; returns the worst exit status.

    Arguments go to those that compare with a stored baseline (`--save` stores a new one).
    """
    statuses = []
    for name in BENCHES:
        extra = sys.argv[1:] if name in COMPARING else []
        statuses.append(subprocess.run([sys.executable, "-m", name, *extra], check=False).returncode)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
