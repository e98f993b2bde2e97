"""What the handlers work with: the mirror to read from, the registry to write through, and how to wait for both.

Promises: a write is answered once this process's own reads show it; reads go on from memory while the store is silent,
and say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from inaetics.api.agents import Agents
from inaetics.api.metrics import Metrics
from inaetics.api.provisioning_archives import Archives, Unchecked
from inaetics.api.pulse import Pulse
from inaetics.api.recent import Recent
from inaetics.api.wire import Health
from inaetics.errors import Unavailable
from inaetics.fleet.company import check_company
from inaetics.fleet.events_chronicle import Chronicle
from inaetics.fleet.explain import Explainer
from inaetics.fleet.image_tags import NoTags, Tags
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.model import Snapshot, UnitName
from inaetics.fleet.registry import Registry
from inaetics.fleet.requirements import RequirementsCache
from inaetics.store.protocol import Store
from inaetics.tasks import TaskGroup

FIRST_READING_S = 5.0
"""How long a request made right after the start waits for the store to be read."""

MAX_EXPLAINED = 50
"""So many waiting units of one listing are told why."""

CATCH_UP_S = 5.0
"""How long a write that the store has taken may need to appear in the mirror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything behind the API. `signers` holds certificates: whose signatures of bundles count. None: anybody's.

    `power_switch` is the socket by which hosts are switched, in a cluster that runs on one machine.
    """

    store: Store
    mirror: Mirror
    registry: Registry
    agents: Agents
    pulse: Pulse
    chronicle: Chronicle
    stopping: asyncio.Event
    tags: Tags = field(default_factory=NoTags)
    archives: Archives = field(default_factory=Unchecked)
    signers: Path | None = None
    power_switch: Path | None = None
    requirements: RequirementsCache = field(default_factory=RequirementsCache)
    recent: Recent = field(default_factory=Recent)
    metrics: Metrics = field(default_factory=Metrics)

    async def snapshot(self) -> Snapshot:
        """What is known now. Right after the start it waits for the first reading of the store.

        Raises `Unavailable` when there is none. It is a live view: not to be kept across an await.
        """
        return await self.mirror.ready(within_s=FIRST_READING_S)

    async def changed(self, after: int, wait_s: float) -> Snapshot:
        """What is known once something newer than `after` is, or after `wait_s`, or when this process is to stop."""
        snapshot = await self.snapshot()
        if snapshot.revision <= after:
            await _first_of(wait_s, self.mirror.changed(after), self.stopping.wait())
        return await self.snapshot()

    async def check_company(self, files: Mapping[str, str]) -> None:
        """Raise `InvalidInput` when one of `files`, unit name → text, contradicts another one or what is submitted."""
        check_company(await self.snapshot(), files, self.requirements)

    async def seen(self, revision: int) -> int:
        """Wait until reads show `revision`; return it. A mirror that lags makes no write fail that was done."""
        try:
            await self.mirror.reached(revision, within_s=CATCH_UP_S)
        except Unavailable:
            self.pulse.lost("the store took a write, but its changes do not arrive")
        return revision

    def reasons(self, snapshot: Snapshot) -> Callable[[UnitName], str]:
        """What says why a wanted unit has no machine; the snapshot is indexed only when somebody asks.

        Where many wait, the first are explained and the others refer to it: each costs a look at every machine.
        """
        explainer: list[Explainer] = []
        left = iter(range(MAX_EXPLAINED))

        def why(name: UnitName) -> str:
            if next(left, None) is None:
                return f"no machine has it (why: fleetctl explain {name})"
            if not explainer:
                self.requirements.keep(frozenset(unit.content_hash for unit in snapshot.units.values()))
                explainer.append(Explainer(snapshot, self.requirements))
            summary = explainer[0].explain(name).summary
            return f"{summary} (no engine leads at the moment)" if self.pulse.leaderless else summary

        return why

    def health(self) -> Health:
        """How this API is, from memory: never fails."""
        snapshot = self.mirror.snapshot
        return Health(
            store="silent" if self.pulse.stale else "ok",
            silent_s=round(self.pulse.silent_s, 1),
            leader=self.pulse.leader,
            revision=snapshot.revision,
            machines=len(snapshot.machines),
            version=version("inaetics-cluster"),
        )


async def _first_of(within_s: float, *waits: Awaitable[object]) -> None:
    """Wait until one of `waits` ends, at most `within_s`; the others are cancelled."""

    async def wait(one: Awaitable[object]) -> None:
        await one
        raise _Done

    try:
        async with asyncio.timeout(within_s), TaskGroup() as group:
            for one in waits:
                group.create_task(wait(one), name="held request")
    except* (_Done, TimeoutError):  # how the block was to end
        pass


class _Done(Exception):
    """Ends a group of waits."""
