"""The directory of remote services in the cluster's etcd: keys under a lease, and a watch."""

from __future__ import annotations

from functools import partial

from inaetics.node.remote.directory import Reader, Standing
from inaetics.provisioning.etcd_thread import EtcdThread
from inaetics.provisioning.kept_keys import KeptKeys
from inaetics.store.protocol import Changed, Relisted, Store, Synced


class EtcdDirectory:
    """A `Directory` whose jobs run on `thread`, from when that starts."""

    def __init__(self, thread: EtcdThread) -> None:
        self._thread = thread

    def stand(self, prefix: str, *, ttl_s: float) -> Standing:
        keys = KeptKeys(self._thread, prefix, ttl_s=ttl_s)
        self._thread.add(f"keep {prefix}", keys.keep)
        return keys

    def follow(self, prefix: str, reader: Reader) -> None:
        self._thread.add(f"follow {prefix}", partial(_follow, prefix, reader))


async def _follow(prefix: str, reader: Reader, store: Store) -> None:
    async for event in store.watch(prefix):
        match event:
            case Relisted(listing=listing):
                reader.listed({item.key: item.value for item in listing.items})
            case Changed(key=key, current=current):
                reader.changed(key, current.value if current else None)
            case Synced():
                pass
