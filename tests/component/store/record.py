"""Recording what a watch says, and judging it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from inaetics.store.background import beside
from inaetics.store.protocol import Changed, KeyValue, Relisted, Store, Synced, WatchEvent
from tests.support.eventually import aeventually


class Recording:
    """All events of one watch, as they came."""

    def __init__(self) -> None:
        self.events: list[WatchEvent] = []

    @property
    def changes(self) -> list[Changed]:
        return [event for event in self.events if isinstance(event, Changed)]

    @property
    def relistings(self) -> int:
        return sum(isinstance(event, Relisted) for event in self.events)

    async def reaches(self, revision: int, *, within_s: float = 25.0) -> None:
        """Wait until the watch has come to `revision`."""

        async def reached() -> bool:
            return bool(self.events) and _revision(self.events[-1]) >= revision

        await aeventually(reached, within_s=within_s, what=f"the watch reaches revision {revision}")

    async def begins(self) -> None:
        await self.reaches(0)


@asynccontextmanager
async def recording(store: Store, prefix: str) -> AsyncIterator[Recording]:
    """Record a watch of `prefix` while the block runs."""
    record = Recording()

    async def watch() -> None:
        async for event in store.watch(prefix):
            record.events.append(event)

    async with beside(watch(), name=f"record {prefix}"):
        yield record


def _revision(event: WatchEvent) -> int:
    match event:
        case Relisted():
            return event.listing.revision
        case Changed():
            return 0  # not before its response is complete
        case Synced():
            return event.revision


def judge(events: Sequence[WatchEvent]) -> dict[str, KeyValue]:
    """Check that revisions only grow and begin with a listing; return the keys as the events leave them."""
    assert isinstance(events[0], Relisted), f"a watch begins with {events[0]}"
    keys: dict[str, KeyValue] = {}
    last = 0
    seen: set[tuple[str, int]] = set()
    for event in events:
        match event:
            case Relisted():
                assert event.listing.revision >= last, f"{event} after revision {last}"
                keys = {item.key: item for item in event.listing.items}
                last = event.listing.revision
                seen.clear()
            case Changed():
                assert event.revision >= last, f"{event} after revision {last}"
                assert (event.key, event.revision) not in seen, f"{event} came twice"
                seen.add((event.key, event.revision))
                last = event.revision
                keys.pop(event.key, None)
                if event.current is not None:
                    keys[event.key] = event.current
            case Synced():
                assert event.revision == last, f"{event} after revision {last}"
    return keys
