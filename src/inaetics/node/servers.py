"""Where provisioning servers are, as etcd knows: they register below one prefix under leases."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import structlog

from inaetics.bundles.exchange import SERVERS, Registration
from inaetics.store.protocol import Changed, Relisted, Store, Synced

log = structlog.get_logger()


class Servers:
    """The known servers. etcd's thread keeps it up to date; others ask and wait.

    `on_change` is called on etcd's thread after each change, and must not block. Servers that have a port for agents
    are asked there, unless it is for `certificates` and we have none.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None, *, certificates: bool = False) -> None:
        self._certificates = certificates
        self._on_change = on_change
        self._lock = threading.Lock()
        self._urls: dict[str, str] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """In the order of their keys, each once."""
        with self._lock:
            return tuple(dict.fromkeys(url for _, url in sorted(self._urls.items())))

    async def follow(self, store: Store) -> None:
        """Keep up with etcd, for ever: the job for its thread."""
        async for event in store.watch(SERVERS):
            match event:
                case Relisted(listing=listing):
                    self._set({item.key: url for item in listing.items if (url := self._url(item.value))})
                case Changed(key=key, current=current):
                    others = {other: url for other, url in self._urls.items() if other != key}
                    url = self._url(current.value) if current else None
                    self._set(others | ({key: url} if url else {}))
                case Synced():
                    pass

    def _set(self, urls: dict[str, str]) -> None:
        with self._lock:
            self._urls = urls
        log.info("provisioning servers", urls=self.urls)
        self._on_change()

    def _url(self, value: bytes) -> str | None:
        try:
            found = msgspec.json.decode(value, type=Registration)
        except msgspec.DecodeError as error:
            log.warning("registration not understood", error=str(error))
            return None
        if found.agents_url.startswith("https:") and not self._certificates:
            return found.url
        return found.agents_url or found.url
