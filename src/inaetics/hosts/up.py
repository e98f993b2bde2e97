"""`up`: makes a cluster, or starts what of it is down, and returns when every machine is listed.

Promises: running it again changes nothing that runs; nothing is started while an address is taken; what this run
started is halted again when it is interrupted; no data is removed unless the request says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from inaetics.errors import CommandFailed, Conflict, InaeticsError, NotFound, Unavailable
from inaetics.hosts import programs
from inaetics.hosts.board import Board
from inaetics.hosts.boot import boot_all, refuse_taken_addresses
from inaetics.hosts.cluster import Cluster, Host, Role, command, load, save, subnets_in_use
from inaetics.hosts.control import ensure_token, publish
from inaetics.hosts.engines import prepare_engines
from inaetics.hosts.formation import forget_unformed
from inaetics.hosts.halt import halt_hosts
from inaetics.hosts.host_files import write_host
from inaetics.hosts.listing import listed
from inaetics.hosts.local import claim_run
from inaetics.hosts.lock import locked
from inaetics.hosts.observe import observe
from inaetics.hosts.paths import ClusterPaths, home, natural
from inaetics.hosts.pki import ensure_authorities
from inaetics.hosts.power import ensure_switch
from inaetics.hosts.processes import alive, processes
from inaetics.hosts.progress import Progress, Step
from inaetics.hosts.rights import confine
from inaetics.hosts.rolling import restart_one_by_one
from inaetics.hosts.settle import Request, settle
from inaetics.hosts.system_units import API, ETCD
from inaetics.store.background import beside
from inaetics.store.etcd import load_client

READY_S = 90.0
"""For all machines to be listed; measured: under 6 s on two cores. A loaded machine gets its time."""

LIST_S = 0.05


def up(paths: ClusterPaths, request: Request, progress: Progress) -> Cluster:
    """Make or start the cluster; returns it once its machines are listed. Idempotent."""
    programs.require()
    with _state_directory(paths), locked(paths, "up"):
        present = load(paths) if paths.file.exists() else None
        settled = settle(present, paths.name, request, subnets_in_use(home()))
        cluster = settled.cluster
        if settled.surplus:
            _remove(present or cluster, settled.surplus, paths, progress)
        hosts = [cluster.host(name) for name in request.hosts] or _all(cluster, request)
        written = _write_files(cluster, paths, progress)
        _prepare_engines(cluster, paths, progress)
        asyncio.run(_start(cluster, hosts, paths, written, progress))
        ensure_switch(paths)
    return cluster


def _all(cluster: Cluster, request: Request) -> list[Host]:
    """Every host, but for a bootstrap host that is to be left as it is."""
    return [host for host in cluster.hosts if request.bootstrap or host.role is not Role.BOOTSTRAP]


@contextmanager
def _state_directory(paths: ClusterPaths) -> Iterator[None]:
    """Make the cluster's directory; one in which no cluster came about is taken away again."""
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        yield
    finally:
        if {path.name for path in paths.state.iterdir()} <= {paths.lock.name}:
            paths.lock.unlink(missing_ok=True)
            paths.state.rmdir()


def _write_files(cluster: Cluster, paths: ClusterPaths, progress: Progress) -> dict[str, list[str]]:
    if (other := claim_run(paths.run, paths.state)) is not None:
        raise Conflict(f"{paths.run} belongs to {other}: choose another name with --cluster")
    with progress.step("certificates and configuration"):
        save(paths, cluster)
        running = processes()
        on = any(alive(paths.host(host.name), running) for host in cluster.control_hosts)
        authorities = ensure_authorities(paths, cluster.name, running=on)
        ensure_token(paths)
        return {host.name: write_host(cluster, host, paths.host(host.name), authorities) for host in cluster.hosts}


def _prepare_engines(cluster: Cluster, paths: ClusterPaths, progress: Progress) -> None:
    with progress.step("container engine") as step:
        try:
            findings = prepare_engines(cluster, cluster.hosts, paths)
        except (NotFound, CommandFailed) as error:
            step.update("none")
            progress.note(f"warning: containers cannot run here: {error}")
        else:
            step.update(f"{findings.program.rsplit('/', 1)[-1]} {findings.version}")


def _remove(cluster: Cluster, surplus: Sequence[Host], paths: ClusterPaths, progress: Progress) -> None:
    from inaetics.hosts.destroy import delete_hosts  # rare, and it takes a quarter of all imports

    asyncio.run(halt_hosts(cluster, surplus, paths, progress))
    with progress.step("hosts removed") as step:
        delete_hosts([paths.host(host.name) for host in surplus], cluster.name)
        step.update(", ".join(host.name for host in surplus))


async def _start(
    cluster: Cluster,
    hosts: Sequence[Host],
    paths: ClusterPaths,
    written: Mapping[str, Sequence[str]],
    progress: Progress,
) -> None:
    seen = await observe(paths, cluster.hosts)
    down = [host for host in hosts if not seen[host.name].processes]
    if not any(seen[host.name].processes for host in cluster.control_hosts):
        places = [paths.host(host.name).etcd for host in cluster.control_hosts]
        if forget_unformed(places):
            progress.note("the store was interrupted while it formed for the first time: it forms anew")
    refuse_taken_addresses(down)
    board = Board(paths, hosts)
    try:
        async with board.following(), beside(asyncio.to_thread(load_client), name="store's client"):
            with progress.step("hosts started") as step:
                await boot_all((paths.host(host.name), seen[host.name]) for host in hosts)
                await board.wait(lambda: _answering(board, step), what="the hosts' supervisors", within_s=READY_S)
                step.update(f"{len(down)} of {len(hosts)} were down" if down else "all were up")
            on = {name for name, each in seen.items() if each.processes} | {host.name for host in hosts}
            renamed = [name for name, each in seen.items() if each.processes and "api.pem" in written[name]]
            await _wait_ready(cluster, board, on, renamed, progress)
    except InaeticsError:
        progress.note(f"what was started stays as it is (stop it: {command(paths.name, 'halt')})")
        raise
    except asyncio.CancelledError:
        progress.note("interrupted: halting what was started")
        await halt_hosts(cluster, down, paths, progress)
        raise


def _answering(board: Board, step: Step) -> bool:
    step.update(f"{len(board.units)} of {len(board.hosts)}")
    return len(board.units) == len(board.hosts)


async def _wait_ready(cluster: Cluster, board: Board, on: set[str], renamed: Sequence[str], progress: Progress) -> None:
    """Wait for the store and the machines, if enough control hosts are on for there to be a store.

    `renamed` are hosts on which an API runs whose certificate was made anew: it comes to the store with the one before,
    which may bear a name the store is about to refuse.
    """
    control = {host.name for host in cluster.control_hosts}
    if len(control & on) * 2 <= len(control):
        needed = len(control) // 2 + 1
        progress.note(f"the store needs {needed} of {', '.join(sorted(control))}: until then no machine is listed")
        return
    mine = [host.name for host in board.hosts if host.control]
    if mine:
        with progress.step("store formed"):
            await board.wait(lambda: all(board.active(name, ETCD) for name in mine), what="the store", within_s=READY_S)
    with progress.step("rights in the store") as step:
        await restart_one_by_one([board.paths.host(name) for name in renamed], API)
        changed = await confine(cluster, board.paths) + await publish(cluster, board.paths)
        step.update(f"{changed} set" if changed else "as they were")
    with progress.step("machines listed") as step:
        await board.wait(board.all_active, what="the hosts' system units", within_s=READY_S)
        await _wait_listed(cluster, board.hosts, step)


async def _wait_listed(cluster: Cluster, hosts: Sequence[Host], step: Step) -> None:
    wanted = {host.name for host in hosts if host.role is Role.WORKER}
    there: frozenset[str] = frozenset()
    try:
        async with asyncio.timeout(READY_S):
            while not wanted <= (there := await asyncio.to_thread(listed, cluster.name)):
                step.update(f"{len(wanted & there)} of {len(wanted)}")
                await asyncio.sleep(LIST_S)
    except TimeoutError:
        absent = ", ".join(sorted(wanted - there, key=natural))
        raise Unavailable(
            f"the fleet does not list {absent} (see: inaetics journal HOST fleet-agent.service)"
        ) from None
    step.update(f"{len(there)} of {cluster.workers}")
