"""Where provisioning servers are, as etcd knows: they register below one prefix under leases.

Every host of the cluster may register one, so a registration is a hint and no more: what cannot be an address is left
out, what has no TLS is not asked by who has certificates, and many of one host keep nobody from the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import zip_longest
from random import Random, SystemRandom
from urllib.parse import urlsplit

import msgspec
import structlog

from inaetics.bundles.exchange import SERVERS, Registration
from inaetics.store.protocol import Changed, Relisted, Store, Synced

log = structlog.get_logger()


class Servers:
    """The known servers. etcd's thread keeps it up to date; others ask and wait.

    `on_change` is called on etcd's thread after each change, and must not block. Servers that have a port for agents
    are asked there, unless it is for `certificates` and we have none; with certificates, nobody is asked without TLS.
    `own` is the address of our host.
    """

    def __init__(
        self,
        on_change: Callable[[], None] = lambda: None,
        *,
        certificates: bool = False,
        own: str = "",
        random: Random | None = None,
    ) -> None:
        self._certificates = certificates
        self._own = own
        self._random = random or SystemRandom()
        self._on_change = on_change
        self._lock = threading.Lock()
        self._urls: dict[str, str] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """In the order of their keys, each once."""
        with self._lock:
            return tuple(dict.fromkeys(url for _, url in sorted(self._urls.items())))

    def in_turn(self, *, first: str = "") -> tuple[str, ...]:
        """The order to ask them in now: `first` if it is there, then see `in_turn`."""
        urls = self.urls
        order = in_turn(urls, own=self._own, random=self._random)
        return tuple(dict.fromkeys((*([first] if first in urls else []), *order)))

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
        url = found.agents_url or found.url
        if found.agents_url.startswith("https:") and not self._certificates:
            url = found.url
        if not _host(url):
            log.warning("registration not understood", error=f"{url[:200]!r} is no http(s)://HOST:PORT")
            return None
        if self._certificates and not url.startswith("https:"):
            log.warning("provisioning server left alone, it has no TLS and this agent has certificates", url=url)
            return None
        return url


def in_turn(urls: Sequence[str], *, own: str, random: Random) -> list[str]:
    """One of each host, that of `own` first and the others as drawn; then the second of each host, and so on."""
    by_host: dict[str, list[str]] = {}
    for url in random.sample(urls, len(urls)):
        by_host.setdefault(_host(url), []).append(url)
    hosts = sorted(by_host, key=lambda host: host != own)
    return [url for turn in zip_longest(*(by_host[host] for host in hosts)) for url in turn if url is not None]


def _host(url: str) -> str:
    """Empty for what nobody can connect to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return host if parts.scheme in ("http", "https") else ""
