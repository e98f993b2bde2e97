"""Switching a host on: from nothing, after a power cut, or when only its supervisor has died."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from inaetics.errors import Conflict
from inaetics.hosts.cluster import Host
from inaetics.hosts.engines import clear_dead_containers
from inaetics.hosts.local import ensure_run, start_keeper, wipe_run
from inaetics.hosts.observe import Observation
from inaetics.hosts.paths import HostPaths
from inaetics.hosts.ports import holder, in_use
from inaetics.hosts.processes import processes, supervisors
from inaetics.tasks import TaskGroup


def boot(paths: HostPaths, seen: Observation) -> None:
    """Bring the supervisor of a host up; returns once it is started, not once it answers.

    With nothing of the host alive this is a boot: dead containers are cleared and the run directory is wiped. With
    processes still alive only the supervisor is started; it adopts them.
    """
    if seen.answers:
        return
    if seen.processes:
        ensure_run(paths)
    else:
        clear_dead_containers(paths)
        wipe_run(paths)
    if not any(each.is_keeper for each in supervisors(paths, processes())):
        start_keeper(paths)


async def boot_all(hosts: Iterable[tuple[HostPaths, Observation]]) -> None:
    """Boot several hosts at once."""
    async with TaskGroup() as group:
        for paths, seen in hosts:
            group.create_task(asyncio.to_thread(boot, paths, seen), name=f"boot {paths.name}")


def refuse_taken_addresses(hosts: Iterable[Host]) -> None:
    """Raise `Conflict` that says who listens already on an address that `hosts` need."""
    taken = in_use([(host.address, port) for host in hosts for port in host.ports])
    if not taken:
        return
    by_holder: dict[str, list[str]] = {}
    for address, port, listener in taken:
        by_holder.setdefault(holder(listener.inode), []).append(f"{address}:{port}")
    named = "; ".join(f"{', '.join(addresses[:4])} by {who}" for who, addresses in by_holder.items())
    everywhere = any(listener.everywhere for _, _, listener in taken)
    way_out = "it listens on every address: stop it" if everywhere else "stop it, or take another --subnet"
    raise Conflict(f"cannot start the hosts, addresses are in use: {named} ({way_out})")
