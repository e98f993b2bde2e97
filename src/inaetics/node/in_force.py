"""The version of the mapping in force, as etcd says it; and what servers give, compared with it.

Every host of the cluster can register a provisioning server, and one that was taken over may give what it likes. The
record in etcd can be written by operators only. So etcd decides what is taken, and servers only bring it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import structlog

from inaetics.bundles.deployment import counter_of
from inaetics.bundles.exchange import Deployment
from inaetics.bundles.given import given, read_version
from inaetics.bundles.in_force import Age, age, differs
from inaetics.bundles.records import CURRENT, Version
from inaetics.errors import InvalidInput, Unavailable
from inaetics.store.protocol import Changed, KeyValue, Relisted, Store, Synced

log = structlog.get_logger()

CATCH_UP_S = 2.0
"""How long etcd's word on a version is waited for that a server knows already."""
PATIENCE_S = 3.0
"""How long a server may take to give a version that etcd has told of: it has the archives to fetch and to check."""
UNHEARD = "etcd has not said yet which version of the mapping is in force"


class FalseAnswer(Unavailable):
    """A server gives what is not in force, and no version on its way explains that. Another may give the right one."""


class InForce:
    """etcd's thread keeps it up to date (`follow`); the deployer's thread asks (`check`).

    `overdue` is called on etcd's thread when a version has been known for `PATIENCE_S`; it must not block.
    """

    def __init__(self) -> None:
        self.overdue: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._version: Version | None = None
        self._unknown = UNHEARD
        """Why nobody can say what is in force; empty when that is known."""
        self._closed = False
        self._behind: dict[str, str] = {}
        """The deployment of an older version that a server gave last."""

    async def follow(self, store: Store) -> None:
        """Keep up with etcd, for ever: a job for its thread. While it is silent, its last word counts."""
        async for event in store.watch(CURRENT):
            match event:
                case Relisted(listing=listing):
                    self._use(next((item for item in listing.items if item.key == CURRENT), None))
                case Changed(key=key, current=current) if key == CURRENT:
                    self._use(current)
                case Changed() | Synced():
                    continue
            asyncio.get_running_loop().call_later(PATIENCE_S, lambda: self.overdue())

    def news(self, target: str, *, seen: Deployment, running: Deployment) -> int:
        """The version by which a server should give something else to a target that was given `seen`; 0 for none.

        Also where nobody can tell. Who runs something else than it was given is given it again with the next version.
        """
        with self._changed:
            version = self._version
        if version is None or version.rules is None or counter_of(seen.version) >= version.version:
            return 0
        wanted = {pinned.key: pinned.sha256 for pinned in given(version, target)}
        return 0 if wanted == _bundles(seen) == _bundles(running) else version.version

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def check(self, deployment: Deployment, target: str, *, server: str) -> None:
        """Return when `deployment` is what the version in force gives to `target`.

        Raises `Unavailable` when that cannot be told, or may be right in a moment: the server lags behind, or etcd's
        word does, which a server cannot help. Raises `FalseAnswer` for all else, also for a server that still lags when
        it is asked again.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._reaches(deployment), CATCH_UP_S)
            version, unknown = self._version, self._unknown
        what = f"deployment {deployment.version}, which the provisioning server at {server} gives, is not taken"
        if unknown:
            raise Unavailable(f"{what}: {unknown}")
        if version is None:
            raise FalseAnswer(f"{what}: no mapping is in force")
        words = differs(deployment, target, version)
        if not words:
            self._behind.pop(server, None)
            return
        seen = age(deployment, version)
        if seen is Age.NEWER:
            raise Unavailable(f"{what} yet: {words}, by what etcd has told us")
        if seen is Age.OLDER and self._behind.get(server) != deployment.version:
            self._behind[server] = deployment.version
            raise Unavailable(f"{what} yet: {words}")
        raise FalseAnswer(f"{what}: {words}")

    def _reaches(self, deployment: Deployment) -> bool:
        """Whether etcd has told of the version that this came from, or of a later one."""
        return not self._unknown and self._version is not None and age(deployment, self._version) is not Age.NEWER

    def _use(self, item: KeyValue | None) -> None:
        version, unknown = None, ""
        try:
            version = read_version(item.value) if item else None
        except InvalidInput as error:
            unknown = str(error)
            log.error("version in force not understood, nothing new is taken", error=unknown)  # noqa: TRY400 - for people
        with self._changed:
            self._version, self._unknown = version, unknown
            self._changed.notify_all()


def _bundles(deployment: Deployment) -> dict[str, str]:
    return {f"{bundle.name}@{bundle.version}": bundle.sha256 for bundle in deployment.bundles}
