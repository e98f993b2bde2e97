"""What the scenarios of all files here share: the units that run while something is broken, and where."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fault.cluster import FaultCluster
from tests.fault.trial import Trial
from tests.support.eventually import eventually

KEEP = tuple(f"keep-{number}.service" for number in range(1, 6))
STOP = tuple(f"stop-{number}.service" for number in range(1, 6))
EVERYWHERE = "everywhere.service"

SOON_S = 2.0
"""Units with `OnLost=stop` and a stop timeout of 1 s may be out of touch for 2.6 s."""

LONG = 60.0
"""Seconds that a fault lasts in the long form."""


def worker_of(cluster: FaultCluster) -> str:
    """A host that holds no part of the control plane."""
    return next(name for name in cluster.names if name not in cluster.control)


def replaced(cluster: FaultCluster, host: str, unit: str, pid: int) -> None:
    """Wait until the main process of `unit` on `host` is another one than `pid`."""
    eventually(lambda: cluster.pid(host, unit) != pid, within_s=40, what=f"{unit} on {host} runs again")


def until_elsewhere(cluster: FaultCluster, *lost: str, within_s: float) -> None:
    """Wait until nothing is placed on the lost hosts any more, as those see it that are left."""

    def elsewhere() -> bool:
        return not set(lost) & set(cluster.where(besides=lost).values())

    eventually(elsewhere, within_s=within_s, what=f"the units of {', '.join(lost)} are placed elsewhere")


def back_in_time(cluster: FaultCluster, once: Callable[[], Trial]) -> Trial:
    """Break something `once`, and again, until who was broken is back before a lease has ended: that is the promise.

    On a machine that has no processor to spare a program may need longer than that to start, and then its units move.
    """
    lost: list[str] = []
    for _ in range(3):
        cluster.spread()
        seen = once()
        seen.settle()
        if not (lost := seen.losses()):
            return seen
    pytest.fail(f"{', '.join(lost)} came back only after a lease had ended, three times: this tells nothing")
