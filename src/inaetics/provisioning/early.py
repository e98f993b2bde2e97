"""A container may be stopped while its program still reads its modules, which takes seconds on a machine that is busy.

The first process of a container ignores SIGTERM until it has a handler: the stop was lost then, and SIGKILL came when
the stop time-out of the unit was over. So a program of ours calls `ends_when_asked` before it imports anything else.
"""

from __future__ import annotations

import os
import signal
from types import FrameType


def ends_when_asked() -> None:
    """End at once on SIGTERM or SIGINT until `framework.serve` takes over: nothing was started that would stay."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)
