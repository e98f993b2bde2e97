"""Writes down every revision of a cluster's store, beside all hosts.

`python -m tests.fault.recorder CA CERT KEY URL …`. One watch at each member, whoever tells first is written, so that a
member that is cut off delays nothing. Standard output gets a JSON object a change: `at` (seconds since boot),
`revision`, `key`, and the fleet's `value`, null for a key that was deleted. A change that was compacted away before any
member told it is missing, and a line says so.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from inaetics.fleet import keys
from inaetics.logs import configure_logs
from inaetics.store.etcd import Tls, connect
from inaetics.store.protocol import Changed, Relisted, Synced
from tests.fault.clock import boottime


class Recorder:
    def __init__(self) -> None:
        self._told: set[tuple[int, str]] = set()
        self._upto = 0

    async def follow(self, url: str, tls: Tls) -> None:
        async with connect([url], tls=tls, timeout_s=2.0, silence_s=1.0) as store:
            async for event in store.watch(""):
                match event:
                    case Changed():
                        value = event.current.value if event.current else None
                        self._tell(event.revision, event.key, value)
                    case Relisted(listing=listing):
                        if self._upto and listing.revision > self._upto:
                            self._write({"gap": [self._upto + 1, listing.revision]})
                        for item in listing.items:
                            self._tell(item.mod_revision, item.key, item.value)
                        self._upto = max(self._upto, listing.revision)
                    case Synced():
                        self._upto = max(self._upto, event.revision)
                        sys.stdout.flush()

    def _tell(self, revision: int, key: str, value: bytes | None) -> None:
        if (revision, key) in self._told:
            return
        self._told.add((revision, key))
        shown = None if value is None else value.decode() if key.startswith(keys.PREFIX) else ""
        self._write({"revision": revision, "key": key, "value": shown})

    def _write(self, record: dict[str, object]) -> None:
        sys.stdout.write(json.dumps({"at": boottime(), **record}) + "\n")


async def _main(ca: str, cert: str, key: str, *urls: str) -> None:
    tls = Tls(ca=Path(ca), cert=Path(cert), key=Path(key))
    recorder = Recorder()
    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(recorder.follow(url, tls), name=f"record {url}")


if __name__ == "__main__":
    configure_logs()
    asyncio.run(_main(*sys.argv[1:]))
