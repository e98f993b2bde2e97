"""`python -m inaetics.supervisor`: read the flags, run the daemon. Exits 0 once every unit was stopped."""

from __future__ import annotations

import sys

from inaetics.absent import do_without

if __name__ == "__main__":
    # asyncio, hashlib, shutil and structlog load these when they find them, and do without when they do not; a
    # daemon that is on every host saves 13 of its 36 MB.
    do_without("ssl", "_hashlib", "bz2", "lzma", "rich", "pygments", "greenlet")

import argparse
import asyncio
from pathlib import Path

from inaetics.errors import InaeticsError
from inaetics.logs import configure_logs
from inaetics.supervisor.daemon import Settings, supervise


def main() -> int:
    """Return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m inaetics.supervisor", description="Run the units of one host.")
    parser.add_argument("--directory", type=Path, required=True, help="what lasts: the journals")
    parser.add_argument("--run-directory", type=Path, required=True, help="what a boot forgets; empty: a boot")
    parser.add_argument("--socket", type=Path, required=True, help="the control socket to serve")
    parser.add_argument("--environment-file", type=Path, help="KEY=value lines: the default environment of all units")
    parser.add_argument("--units", type=Path, help="folder of the units that a boot starts")
    parser.add_argument("--stop-within", type=float, default=30.0, metavar="SECONDS", help="bound of the way out")
    flags = parser.parse_args()
    settings = Settings(
        directory=flags.directory.absolute(),
        run_directory=flags.run_directory.absolute(),
        socket=flags.socket.absolute(),
        environment_file=flags.environment_file.absolute() if flags.environment_file else None,
        units=flags.units.absolute() if flags.units else None,
        stop_within_s=flags.stop_within,
    )
    configure_logs()
    try:
        asyncio.run(supervise(settings))
    except InaeticsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
