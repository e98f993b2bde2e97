"""`python -m inaetics.api`: the fleet API of a control host, and its candidate for the engine.

Both live in one process because they need the same copy of the fleet; a crash of either ends it, and the supervisor
starts it again. Told to stop, it gives up the leadership first, so that another host takes over at once.
"""

from __future__ import annotations

import sys

from inaetics.absent import do_without

if __name__ == "__main__":  # structlog loads these where tests' tools have brought them: 7 MB for nothing
    do_without("rich", "pygments", "greenlet")

import asyncio
import os
import signal

import structlog

from inaetics.api.process import serve
from inaetics.api.settings import from_environment
from inaetics.errors import InaeticsError, leaves
from inaetics.logs import configure_logs
from inaetics.notify import notify

_log = structlog.get_logger()


async def _main() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await serve(from_environment(os.environ), stopping=stopping, ready=lambda: notify("READY=1"))


def main() -> int:
    """Run until told to stop; returns the exit code."""
    configure_logs()
    failed = False
    try:
        asyncio.run(_main())
    except* InaeticsError as group:
        failed = True
        for error in leaves(group):
            _log.error("fleet API ended", error=str(error))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
