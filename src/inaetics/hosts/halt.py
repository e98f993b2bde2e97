"""`halt`: switching hosts off in order.

Promises: a halt of the whole cluster silences the engines first, so nothing is moved because a machine went; after a
halt nothing of the host runs; every state stays on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from inaetics.errors import InaeticsError, Unavailable
from inaetics.hosts.boot import boot
from inaetics.hosts.cluster import Cluster, Host, load
from inaetics.hosts.lock import locked
from inaetics.hosts.observe import Observation, observe
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.processes import power_cut, processes, supervisors
from inaetics.hosts.progress import Progress, Step
from inaetics.hosts.system_units import API
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitGone
from inaetics.tasks import TaskGroup

ENGINE_S = 15.0
"""For an engine to lay down its office and its API to end; after that it is halted with its host."""

ANSWER_S = 15.0
"""For a supervisor that was dead to start and adopt what lives."""

SHUTDOWN_S = 120.0
"""For all units of a host to stop (systemd's own limit for one unit is 90 s); after that its power is cut."""

POLL_S = 0.05

OVER = (Active.INACTIVE, Active.FAILED)


def halt(paths: ClusterPaths, names: Sequence[str], progress: Progress) -> list[str]:
    """Halt the named hosts, or the whole cluster; returns those that were on. A halted host is no error."""
    cluster = load(paths)
    hosts = [cluster.host(name) for name in names] or list(cluster.hosts)
    with locked(paths, "halt"):
        if not names:
            paths.switch.unlink(missing_ok=True)
        return asyncio.run(halt_hosts(cluster, hosts, paths, progress))


async def halt_hosts(cluster: Cluster, hosts: Iterable[Host], paths: ClusterPaths, progress: Progress) -> list[str]:
    """Halt `hosts` at once, engines first when no control host would be left."""
    wanted = {host.name for host in hosts}
    seen = await observe(paths, cluster.hosts)
    on = {name: each for name, each in seen.items() if each.processes}
    going = {name: each for name, each in on.items() if name in wanted}
    if not any(each.host.control for name, each in on.items() if name not in going):
        with progress.step("engines quiet"):
            await _quiet([each for each in going.values() if each.host.control], paths)
    with progress.step("hosts halted") as step:
        await _shut_down(list(going.values()), paths, step, progress)
        killed = await asyncio.to_thread(power_cut, [paths.host(name) for name in wanted])
        step.update(f"{len(going)}" + (f", {killed} processes were left and killed" if killed else ""))
    return list(going)


async def _quiet(seen: Iterable[Observation], paths: ClusterPaths) -> None:
    """Stop every API (and with it the engine): from here on nobody decides anything."""
    async with TaskGroup() as group:
        for each in seen:
            if each.units is not None and API in each.units:
                socket = paths.host(each.host.name).supervisor_socket
                group.create_task(_stop_api(EmbeddedSupervisor(socket)), name=f"stop API on {each.host.name}")


async def _stop_api(supervisor: EmbeddedSupervisor) -> None:
    try:
        async with asyncio.timeout(ENGINE_S):
            await supervisor.stop(API)
            async for event in supervisor.watch():
                if event.name == API and (isinstance(event, UnitGone) or event.active in OVER):
                    return
    except (Unavailable, TimeoutError):
        return  # it goes with its host


async def _shut_down(seen: Sequence[Observation], paths: ClusterPaths, step: Step, progress: Progress) -> None:
    """Have every supervisor stop its units and end; one that does not is left to the power cut that follows."""
    done = 0

    async def one(each: Observation) -> None:
        nonlocal done
        await _ask(each, paths, progress)
        done += 1
        step.update(f"{done} of {len(seen)}")

    async with TaskGroup() as group:
        for each in seen:
            group.create_task(one(each), name=f"shut down {each.host.name}")


async def _ask(seen: Observation, paths: ClusterPaths, progress: Progress) -> None:
    """Ask one supervisor to stop everything; one that is dead is started for it, so that units stop in order."""
    host = paths.host(seen.host.name)
    supervisor = EmbeddedSupervisor(host.supervisor_socket)
    try:
        if not seen.answers:
            await asyncio.to_thread(boot, host, seen)
            await _when_it_answers(supervisor)
        async with asyncio.timeout(SHUTDOWN_S):
            await supervisor.shutdown()
            while supervisors(host, processes()):  # noqa: ASYNC110 - another process's end has no event here
                await asyncio.sleep(POLL_S)
    except (InaeticsError, TimeoutError) as error:
        reason = str(error) or "time is up"
        progress.note(f"warning: the supervisor of {seen.host.name} did not shut down: {reason}")


async def _when_it_answers(supervisor: EmbeddedSupervisor) -> None:
    """Return when it does; raises `TimeoutError` when it does not."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            try:
                await supervisor.ping()
            except Unavailable:
                await asyncio.sleep(POLL_S)
            else:
                return
