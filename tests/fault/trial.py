"""One scenario: a healthy cluster is broken, mended, and healthy again; then its history is judged."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.fault import validators
from tests.fault.clock import boottime
from tests.fault.cluster import FaultCluster
from tests.fault.faults import Fault
from tests.fault.history import History, Run

STOPS_WITHIN_S = 2.0
"""How long a unit may take from being withdrawn to being gone, where its host can know."""


SETTLED_S = 6.5
"""A lease of 5 s has ended by then, and the engine has acted."""


class Trial:
    """What a test knows of its scenario. The instants are boot-time seconds."""

    def __init__(self, cluster: FaultCluster, before: History) -> None:
        self.cluster = cluster
        self.before = before
        self.injected_at = 0.0
        self.healed_at = 0.0

    @property
    def runs(self) -> tuple[Run, ...]:
        """What ran before anything was broken."""
        return tuple(run for run in self.before.runs if validators.lives(run, self.before.until))

    def runs_besides(self, *hosts: str) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.host not in hosts)

    def after(self, seconds: float) -> None:
        """Let the fault last: return this long after it was injected."""
        time.sleep(max(0.0, self.injected_at + seconds - boottime()))

    def settle(self) -> None:
        """Wait for what a fault that was short may have set going: until every lease of then would have ended."""
        time.sleep(max(0.0, max(self.injected_at, self.healed_at) + SETTLED_S - boottime()))

    def losses(self) -> list[str]:
        """The hosts whose machines were lost since the fault."""
        return [loss.host for loss in self.cluster.history().losses if loss.at >= self.injected_at]

    def judge(
        self,
        *,
        lost: Collection[str] = (),
        unharmed: Collection[Run] = (),
        twice_s: float = 0.0,
        twice_since: float | None = None,
        never_twice: Collection[str] = frozenset(),
        excused: Mapping[str, float] | None = None,
        changed: Collection[str] = (),
    ) -> History:
        """Fail with everything the validators find; returns the history that was judged.

        `lost`: whose units may move. `unharmed`: what must still run, the same processes. A unit may run twice for
        `twice_s` after `twice_since` (default: since the fault), and on `excused` hosts unplaced until then; those of
        `never_twice` (`OnLost=stop`) at no time, and not beyond their machine's lease. `changed`: units that the test
        itself destroyed or submitted.
        """
        seen = self.cluster.history()
        since = self.injected_at if twice_since is None else twice_since
        found = [
            *validators.placed_twice(seen),
            *validators.ran_twice(seen, allowed_s=twice_s, since=since),
            *validators.ran_twice(seen, since=self.injected_at, units=never_twice),
            *validators.outlived_lease(seen, since=self.injected_at, units=never_twice),
            *validators.moved(seen, since=self.injected_at, lost=lost, besides=changed),
            *validators.ran_unplaced(seen, within_s=STOPS_WITHIN_S, since=self.injected_at, excused=excused),
            *validators.restarted(seen, unharmed),
            *validators.not_running(seen, self.cluster.wanted, hosts=self.cluster.names),
        ]
        assert not found, "\n".join(found)
        return seen


@contextmanager
def trial(cluster: FaultCluster, fault: Fault, *, well_within_s: float = 30.0) -> Iterator[Trial]:
    """Break a healthy cluster for the block, mend it at its end, and wait until it is healthy again."""
    if reason := fault.available():
        pytest.fail(f"this fault cannot be injected here: {reason}")
    cluster.until_healthy(within_s=30)
    under_way = Trial(cluster, cluster.history())
    under_way.injected_at = boottime()
    try:
        fault.inject()
        yield under_way
    finally:
        under_way.healed_at = boottime()
        fault.heal()
    cluster.until_healthy(within_s=well_within_s)
