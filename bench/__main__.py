"""`make bench`: every benchmark, one after the other, each printing its table."""

from __future__ import annotations

import subprocess
import sys

BENCHES = ("bench.cluster", "bench.plan", "bench.remote")


def main() -> int:
    """Run them as processes of their own, so that none inherits another's memory; returns the worst exit status."""
    return max(subprocess.run([sys.executable, "-m", name], check=False).returncode for name in BENCHES)


if __name__ == "__main__":
    sys.exit(main())
