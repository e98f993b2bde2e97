"""Restarting system units of hosts that run, one host after the other, so that there is always another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from inaetics.errors import Unavailable
from inaetics.hosts.paths import HostPaths
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitGone, UnitStatus

READY_S = 60.0
"""For one unit to be active again; an etcd member that reads a large store takes its time."""


async def restart_one_by_one(hosts: Iterable[HostPaths], unit: str) -> None:
    """Restart `unit` on each of `hosts` in turn; the next waits until the one before is active again."""
    for host in hosts:
        await restart(host, unit)


async def restart(host: HostPaths, unit: str) -> None:
    """Restart `unit` and return once it is active again; raises `Unavailable` when it does not come back."""
    supervisor = EmbeddedSupervisor(host.supervisor_socket)
    before = (await supervisor.states()).get(unit)
    await supervisor.restart(unit)
    await _wait(host, unit, lambda now: now.active is Active.ACTIVE and not _same(before, now))


async def stop(host: HostPaths, unit: str) -> None:
    """Stop `unit` and return once it is down."""
    await EmbeddedSupervisor(host.supervisor_socket).stop(unit)
    await _wait(host, unit, lambda now: now.active in (Active.INACTIVE, Active.FAILED))


async def start(host: HostPaths, unit: str, *, wait: bool = True) -> None:
    """Start `unit` and, with `wait`, return once it is active."""
    await EmbeddedSupervisor(host.supervisor_socket).start(unit)
    if wait:
        await _wait(host, unit, lambda now: now.active is Active.ACTIVE)


def _same(before: UnitStatus | None, now: UnitStatus) -> bool:
    return before is not None and before.main_pid == now.main_pid


async def _wait(host: HostPaths, unit: str, there: Callable[[UnitStatus], bool]) -> None:
    last = "not known"
    try:
        async with asyncio.timeout(READY_S):
            async for event in EmbeddedSupervisor(host.supervisor_socket).watch():
                if event.name != unit or isinstance(event, UnitGone):
                    continue
                last = f"{event.active} ({event.sub})"
                if there(event):
                    return
    except TimeoutError:
        raise Unavailable(
            f"{unit} on {host.name} is {last} after {READY_S:.0f} s (see: inaetics journal {host.name} {unit})"
        ) from None
    raise Unavailable(f"{unit} on {host.name}: its supervisor ended (see: inaetics journal {host.name})")
