"""Versions of the mapping that are on trial: watched over by the cluster, and taken back when a target cannot run one.

Every API of the cluster does this, with no leader among them: what is put in force is one transaction that names the
version it follows, so of several that see a failure one goes back and the others find it done. So it does not matter
whether the command that applied the version, or the host that answered it, still lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from inaetics.api.provisioning import Provisioning, read_standing
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.given import read_version
from inaetics.bundles.outcome import failures
from inaetics.bundles.records import CURRENT, STANDINGS, TRIAL, Standing, Trial, Undone, Version
from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.store.background import beside
from inaetics.store.protocol import Changed, Delete, KeyValue, ModIs, Relisted, Store, Synced

log = structlog.get_logger()

BY = "the cluster"
AGAIN_S = 0.5
MOST_AGAIN_S = 8.0
"""Between tries to go back while that is not possible, as when no registry answers."""
MOST_NAMED = 10
LONGEST_REASON = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnTrial:
    """A trial, the revision of its key, and the instant of the loop's clock at which its time is up."""

    trial: Trial
    revision: int
    until: float


class Trials:
    """See the module. `desk` makes the versions."""

    def __init__(self, store: Store, desk: Provisioning, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._desk = desk
        self._clock = clock
        self._now: _OnTrial | None = None
        self._changed = asyncio.Event()
        self._began = False

    async def run(self) -> None:
        """Watch over one trial after another, for ever."""
        async with beside(self._follow(), name="trials"):
            while True:
                self._changed.clear()
                if self._now is None:
                    await self._changed.wait()
                else:
                    async with beside(self._watch_over(self._now), name="trial"):
                        await self._changed.wait()

    async def _follow(self) -> None:
        async for event in self._store.watch(TRIAL):
            match event:
                case Relisted(listing=listing):
                    self._learn(next((item for item in listing.items if item.key == TRIAL), None))
                    self._began = True
                case Changed(key=key, current=current) if key == TRIAL:
                    self._learn(current)
                case Changed() | Synced():
                    pass

    def _learn(self, item: KeyValue | None) -> None:
        if item is not None and self._now is not None and item.mod_revision == self._now.revision:
            return
        self._now = self._on_trial(item) if item else None
        self._changed.set()

    def _on_trial(self, item: KeyValue) -> _OnTrial | None:
        """Time is counted here, from now: hosts' clocks differ. Only of one that this process did not see begin, the
        clock says how much is left, so that a cluster that was halted does not look back for long."""
        try:
            trial = msgspec.json.decode(item.value, type=Trial)
        except msgspec.DecodeError as error:
            log.error("trial not understood", error=str(error))  # noqa: TRY400 - made for people
            return None
        left = trial.within_s
        if not self._began:
            left = min(max(trial.at + trial.within_s - self._clock(), 0.0), left)
        until = asyncio.get_running_loop().time() + left
        return _OnTrial(trial=trial, revision=item.mod_revision, until=until)

    async def _watch_over(self, now: _OnTrial) -> None:
        """Until the trial is over, in one way or another; through outages of the store, and of registries.

        Nothing that goes wrong ends more than a try: this runs in the API's process, beside all else.
        """
        pause_s = AGAIN_S
        while True:
            try:
                await self._see_through(now)
            except (InaeticsError, OSError) as error:  # a `Conflict` ends with the trial's key, which is about to go
                log.warning("trial looked at again", version=now.trial.version, reason=str(error), in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MOST_AGAIN_S)
            else:
                return

    async def _see_through(self, now: _OnTrial) -> None:
        trial = now.trial
        try:
            if failed := await self._failed(now):
                await self._take_back(trial, failed)
                return
        except (InvalidInput, NotFound) as error:
            log.error("version stays, it cannot be taken back", version=trial.version, error=str(error))  # noqa: TRY400
        with suppress(Conflict):  # another one stands there
            await self._store.commit([Delete(key=TRIAL)], guards=[ModIs(key=TRIAL, revision=now.revision)])

    async def _failed(self, now: _OnTrial) -> dict[str, str]:
        """What failed, as soon as something does; nothing when time is up and nothing has."""
        before, after = await self._versions(now.trial)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(now.until):
                return await self._first_failed(before, after)
        return failures(before, after, await self._desk.standings())

    async def _first_failed(self, before: Version, after: Version) -> dict[str, str]:
        found: dict[str, str] = {}
        async for event in self._store.watch(STANDINGS):
            match event:
                case Relisted(listing=listing):
                    found = failures(before, after, _standings(*listing.items))
                case Changed(current=KeyValue() as item):
                    found |= failures(before, after, _standings(item))
                    continue
                case Changed():
                    continue
                case Synced():
                    pass
            if found:
                return found
        raise Unavailable("the store has ended")

    async def _versions(self, trial: Trial) -> tuple[Version, Version]:
        known = await self._desk.known()
        before, after = await self._desk.version(trial.back_to), await self._desk.version(trial.version)
        return known.resolved(before), known.resolved(after)

    async def _take_back(self, trial: Trial, failed: Mapping[str, str]) -> None:
        first = dict(list(failed.items())[:MOST_NAMED])
        target, words = next(iter(first.items()))
        why = f"{target} {words}"[:LONGEST_REASON]
        log.warning("version is taken back", version=trial.version, back_to=trial.back_to, reason=why)
        asked = VersionRequest(back_to=trial.back_to, expected=trial.version, by=BY, reason=why)
        said = {target: words[:LONGEST_REASON] for target, words in first.items()}
        await self._desk.change(asked, undid=Undone(version=trial.version, failed=said))


async def keep(store: Store, number: int) -> bool:
    """Let the version in force stay, whatever targets say; returns whether it was on trial.

    Raises `Conflict` when another one than `number` is in force.
    """
    trial, current = await store.get(TRIAL), await store.get(CURRENT)
    version = read_version(current.value) if current else None
    if current is None or version is None or version.version != number:
        there = f"version {version.version} is, {version.note} by {version.by or 'somebody'}" if version else "none is"
        raise Conflict(f"version {number} of the mapping is not in force: {there}")
    await store.commit([Delete(key=TRIAL)], guards=[ModIs(key=CURRENT, revision=current.mod_revision)])
    return trial is not None


def _standings(*items: KeyValue) -> dict[str, Standing]:
    return {target: standing for item in items for target, standing in read_standing(item)}
