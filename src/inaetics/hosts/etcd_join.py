"""How a member of the cluster's etcd finds the others, once in its life: `python -m inaetics.hosts.etcd_join`.

etcd-join.service runs it only while `formation.json` is missing: starting Python costs more than starting etcd.

Peers register at the discovery etcd with their certificates until as many are there as the cluster shall have; the
first that many are the members. What came of it is kept on disk, so no later start needs discovery at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable

import structlog

from inaetics.errors import Conflict, InaeticsError, Unavailable
from inaetics.files import replace_file
from inaetics.hosts.etcd_member import Settings, settings_from, write_config
from inaetics.logs import configure_logs
from inaetics.ports import PEER_PORT
from inaetics.store.protocol import KeyValue, Relisted, Store, Synced

RETRY_S = 0.1

_log = structlog.get_logger()


async def discover(settings: Settings, store: Store) -> dict[str, str]:
    """Register this member and wait until the cluster is complete; returns its members, name → peer URL.

    Idempotent; waits as long as it takes. Raises `Conflict` when the cluster is complete without this member.
    """
    await _register(settings, store)
    mine = f"{settings.prefix}{settings.name}"
    present: dict[str, KeyValue] = {}
    async for event in store.watch(settings.prefix):
        match event:
            case Relisted():
                present = {item.key: item for item in event.listing.items}
            case Synced():
                pass
            case _ if event.current is None:
                present.pop(event.key, None)
            case _:
                present[event.key] = event.current
        if mine not in present:
            await _register(settings, store)  # somebody purged discovery meanwhile
        elif len(present) >= settings.size:
            return choose(settings, present.values())
    raise Unavailable("the watch of the discovery etcd ended")


async def _register(settings: Settings, store: Store) -> None:
    url = f"https://{settings.address}:{PEER_PORT}".encode()
    told = False
    while True:
        try:
            await store.put(f"{settings.prefix}{settings.name}", url)
        except Unavailable as error:
            if not told:
                _log.info("discovery does not answer yet", discovery=settings.discovery, reason=str(error))
            told = True
            await asyncio.sleep(RETRY_S)
        else:
            return


def known(settings: Settings) -> dict[str, str]:
    """The members by name, from the host's environment: without a bootstrap host the inventory says who they are."""
    members = dict(each.split("=", 1) for each in settings.members.split(","))
    if settings.name not in members:
        raise Conflict(f"cannot join the store: {settings.name} is not one of its members ({settings.members})")
    return members


def choose(settings: Settings, registered: Iterable[KeyValue]) -> dict[str, str]:
    """The first `size` that registered are the members; raises `Conflict` when this one is not among them."""
    first = sorted(registered, key=lambda item: (item.create_revision, item.key))[: settings.size]
    members = {item.key.removeprefix(settings.prefix): item.value.decode() for item in first}
    if settings.name not in members:
        raise Conflict(
            f"cannot join the store: cluster {settings.cluster_id} is complete with {', '.join(sorted(members))}"
            f" and {settings.name} is not one of them (to form it anew: inaetics purge-discovery)"
        )
    return members


async def join(settings: Settings) -> None:
    """Write etcd's configuration, finding the other members first where that was never done."""
    if settings.formation.exists():
        members = json.loads(settings.formation.read_text())
    else:
        members = known(settings) if settings.members else await _discover_there(settings)
        settings.forming.touch()
        replace_file(settings.formation, json.dumps(members, indent=2) + "\n")
        _log.info("members of the store are known", members=sorted(members))
    write_config(settings, members)


async def _discover_there(settings: Settings) -> dict[str, str]:
    from inaetics.store.etcd import Tls, connect

    tls = Tls(ca=settings.pki / "ca.pem", cert=settings.pki / "etcd.pem", key=settings.pki / "etcd.key")
    async with connect([settings.discovery], tls=tls, timeout_s=1.0) as store:
        return await discover(settings, store)


def main() -> int:
    configure_logs()
    try:
        asyncio.run(join(settings_from(os.environ)))
    except InaeticsError as error:
        _log.error("cannot join the store", reason=str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
