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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from inaetics.errors import Conflict, InaeticsError, InvalidInput, Unavailable
from inaetics.files import replace_file
from inaetics.hosts.formation import DATA, FORMATION, FORMING, JOINING
from inaetics.hosts.services import etcd_config
from inaetics.logs import configure_logs
from inaetics.ports import PEER_PORT
from inaetics.store.protocol import KeyValue, Relisted, Store, Synced

PREFIX = "/inaetics/formation/"
"""At the discovery etcd: `<cluster id>/<member>` → peer URL."""


RETRY_S = 0.1

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the host's environment tells a member."""

    name: str
    address: str
    cluster_id: str
    size: int
    """How many members the cluster shall have."""
    discovery: str
    state: Path
    pki: Path
    members: str = ""
    """The members as etcd writes them (`name=url,…`), where they are known beforehand."""

    @property
    def formation(self) -> Path:
        """The members, as found once: name → peer URL."""
        return self.state / "etcd" / FORMATION

    @property
    def forming(self) -> Path:
        """There from here on until etcd was ready for the first time (etcd.service takes it away)."""
        return self.formation.with_name(FORMING)

    @property
    def prefix(self) -> str:
        return f"{PREFIX}{self.cluster_id}/"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the `INAETICS_*` variables; raises `InvalidInput` that names a missing one."""
    try:
        return Settings(
            name=environment["INAETICS_HOST"],
            address=environment["INAETICS_ADDRESS"],
            cluster_id=environment["INAETICS_CLUSTER_ID"],
            size=int(environment["INAETICS_ETCD_SIZE"]),
            discovery=environment["INAETICS_DISCOVERY"],
            state=Path(environment["INAETICS_STATE"]),
            pki=Path(environment["INAETICS_PKI"]),
            members=environment.get("INAETICS_ETCD_MEMBERS", ""),
        )
    except KeyError as error:
        raise InvalidInput(
            f"cannot join the store: {error.args[0]} is not set (a host's system unit sets it)"
        ) from None


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


def write_config(settings: Settings, members: Mapping[str, str]) -> None:
    """Write etcd's configuration file for a member that knows its cluster.

    A member without a certificate for its peers belongs to a cluster made before there was one.
    """
    config = etcd_config(
        name=settings.name,
        address=settings.address,
        data=settings.state / "etcd" / DATA,
        pki=settings.pki,
        members=members,
        peers=(settings.pki / "etcd-peer.pem").exists(),
        joining=settings.formation.with_name(JOINING).exists(),
    )
    replace_file(settings.state / "etcd.yml", config)


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
