"""The one clock of all hosts of a test, which no setting of the time of day moves."""

from __future__ import annotations

import time


def boottime() -> float:
    """Seconds since the machine booted, as the first word of /proc/uptime, which units can read too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
