"""Agents that only say what came of a version of the mapping: how provisioning looks to who waits for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from inaetics.api.provisioning_client import targets
from inaetics.bundles.records import Entry, Standing, log_prefix, standing_key
from inaetics.errors import InaeticsError
from tests.component.api.live import LiveFleet

AGAIN_S = 0.05


@contextmanager
def pretend_agents(fleet: LiveFleet, cannot: Mapping[str, str]) -> Iterator[None]:
    """Agents named as the keys of `cannot` follow for the block; each refuses what has a bundle of that name.

    A bundle called "silent" is one to which the agent never says anything.
    """
    stopping = threading.Event()
    thread = threading.Thread(target=_run, args=(fleet, dict(cannot), stopping), name="pretend agents")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _run(fleet: LiveFleet, cannot: dict[str, str], stopping: threading.Event) -> None:
    standings: dict[str, Standing] = {}
    seen: dict[str, str] = {}
    numbers = itertools.count()
    with fleet.client() as client:
        while not stopping.wait(AGAIN_S):
            for target, bundle in cannot.items():
                try:
                    (entry,) = targets(client, target).targets
                except InaeticsError:
                    continue
                if not entry.deployment or seen.get(target) == entry.deployment:
                    continue
                seen[target] = entry.deployment
                names = [each.partition("@")[0] for each in entry.bundles]
                said = [Entry(at=time.time(), event="given", version=entry.deployment, bundles=entry.bundles)]
                if "silent" not in names:
                    said.append(_end(entry.deployment, bundle if bundle in names else ""))
                for each in said:
                    standings[target] = Standing.after(standings.get(target), each)
                    number = next(numbers)
                    _put(fleet, f"{log_prefix(target)}{int(each.at * 1000):015d}-pretended-{number:06d}", each)
                _put(fleet, standing_key(target), standings[target])


def _put(fleet: LiveFleet, key: str, value: msgspec.Struct) -> None:
    fleet.call(lambda: fleet.store.put(key, msgspec.json.encode(value)))


def _end(version: str, bad: str) -> Entry:
    if bad:
        return Entry(at=time.time(), event="rolled-back", version=version, error=f"bundle {bad} does not start")
    return Entry(at=time.time(), event="installed", version=version)
