"""What inaetics_fleet_manager does: carries out what `scaling` planned, waits, and says how it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inaetics.cli import scaling
from inaetics.cli.common import print_json, print_table, say
from inaetics.cli.listings import record
from inaetics.cli.scale_sets import declare_sets
from inaetics.cli.unit_arguments import content_hash, local_file
from inaetics.cli.verdicts import judge_start
from inaetics.cli.waiting import FAILED, wait_for, wait_until_gone
from inaetics.errors import NotFound
from inaetics.ports import PAGE_UNIT

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.wire import MachineEntry, UnitEntry
    from inaetics.cli.progress import TerminalProgress
    from inaetics.cli.session import Session
    from inaetics.hosts.paths import ClusterPaths


def start(session: Session, celix: int, felix: int, unit_files: Path | None) -> int:
    """Bring the system to these numbers of agents and wait until it is there; exit code 1 when a unit failed."""
    from inaetics.hosts.status import page

    files = files_in(unit_files)
    wanted = scaling.wanted_units(felix=felix, celix=celix)
    with session.client() as client:
        _fill_repository(session, client)
        stored = {unit.name: scaling.Stored(hash=unit.hash, desired=unit.desired) for unit in client.units().units}
        actions = scaling.plan(stored, files, felix=felix, celix=celix)
        say(f"one provisioning server, {felix} felix agents, {celix} celix agents")
        _end_automatic(client)
        for action in actions:
            apply(client, action, files)
        declare_sets(client)
        wait_until_gone(client, [action.name for action in actions if isinstance(action, scaling.Destroy)])
        outcome = wait_for(client, wanted, judge_start, wanted="launched")
        if outcome.waiting:
            say(
                f"{len(outcome.waiting)} of {len(wanted)} units wait for a machine and start when there is room"
                " (more workers: inaetics up --workers N)"
            )
        machines, units = client.machines(), client.units().units
        _show(machines, units, page(units, PAGE_UNIT))
    return FAILED if outcome.broken else 0


def _end_automatic(client: FleetClient) -> None:
    """Who names numbers wants these: the autoscaler would have others."""
    from inaetics.api.scale_client import scaling, set_automatic

    if scaling(client).automatic:
        set_automatic(client, False)
        say("automatic scaling is off now (on again: inaetics scale --auto on)")


def _fill_repository(session: Session, client: FleetClient) -> None:
    """Where nothing was ever deployed, push the demonstrator's bundles, and say what to do where we cannot."""
    from inaetics.api.provisioning_client import version
    from inaetics.cli.rollout_display import who

    try:
        version(client)
    except NotFound:
        if session.endpoint is not None:
            say("no bundles are deployed yet (on the cluster's own machine: inaetics bundle push --demonstrator)")
            return
        from inaetics.cli.bundle_work import push_demonstrator

        new, mapping = push_demonstrator(client, session.cluster, by=who())
        say(f"{new} bundles of the demonstrator pushed; {mapping}")


def stop(session: Session) -> int:
    """Stop and forget every unit of the system, and wait until no machine has them."""
    with session.client() as client:
        names = scaling.system_units({unit.name: unit for unit in client.units().units})
        for name in names:
            client.destroy(name)
            click.echo(f"Destroyed {name}")
        if not names:
            say("nothing of the system is submitted: there is nothing to stop")
        return wait_until_gone(client, names)


def status(session: Session, output: str) -> int:
    """Print the machines, the units, and where the page is."""
    from inaetics.hosts.status import page

    with session.client() as client:
        machines, units = client.machines(), client.units().units
        session.warn(client)
    web = page(units, PAGE_UNIT)
    if output == "json":
        entities = {"machines": [record(one) for one in machines], "units": [record(one) for one in units]}
        print_json({**entities, "web": web})
    else:
        _show(machines, units, web)
    return 0


def reboot(session: Session) -> int:
    """Restart every worker."""
    from inaetics.hosts.halt import halt
    from inaetics.hosts.settle import Request
    from inaetics.hosts.up import up

    paths, workers, progress = _hosts(session)
    halt(paths, workers, progress)
    up(paths, Request(hosts=tuple(workers)), progress)
    return 0


def shutdown(session: Session) -> int:
    """Halt every worker."""
    from inaetics.hosts.halt import halt

    paths, workers, progress = _hosts(session)
    halt(paths, workers, progress)
    say("the workers are off (on again: inaetics up)")
    return 0


def _hosts(session: Session) -> tuple[ClusterPaths, list[str], TerminalProgress]:
    """The cluster's paths, its workers' names, and where to tell how far it is."""
    from inaetics.cli.progress import TerminalProgress
    from inaetics.hosts.cluster import Role, load
    from inaetics.hosts.paths import cluster_paths

    paths = cluster_paths(session.cluster)
    workers = [host.name for host in load(paths).hosts if host.role is Role.WORKER]
    return paths, workers, TerminalProgress()


def files_in(folder: Path | None) -> Mapping[str, scaling.File]:
    """The system's unit files, from `folder` or the system's own; raises `NotFound` naming what is missing."""
    if folder is None:
        from inaetics.resources import units_directory

        folder = units_directory()
    elif not folder.is_dir():
        raise NotFound(f"there is no folder {folder}: give --unitFilesPath the folder that holds felix@.container")
    found = {name: _file(folder, name) for name in scaling.TEMPLATES}
    return {name: file for name, file in found.items() if file is not None}


def _file(folder: Path, name: str) -> scaling.File | None:
    found = local_file(str(folder / name))
    if found is None:
        if name in scaling.OPTIONAL:
            return None
        raise NotFound(f"{folder} holds neither {Path(name).stem}.container nor {name}")
    return scaling.File(text=found.text, hash=content_hash(found.text))


def apply(client: FleetClient, action: scaling.Action, files: Mapping[str, scaling.File]) -> None:
    """Carry out one action of `scaling.plan`."""
    match action:
        case scaling.Destroy():
            client.destroy(action.name)
            click.echo(f"Destroyed {action.name}")
        case scaling.Launch():
            client.set_desired(action.name, "launched")
        case scaling.Submit():
            desired = "launched" if action.launch else None
            client.submit(action.name, files[action.template].text, desired=desired, replace=action.changed)
            if action.changed:
                say(f"{action.name}: its unit file has changed; what runs of it is restarted with the new one")


def _show(machines: Iterable[MachineEntry], units: Iterable[UnitEntry], web: str | None) -> None:
    click.echo("\nMachines:")
    print_table(("MACHINE", "ADDRESS", "UNITS"), [(one.name, one.address, str(one.units)) for one in machines])
    click.echo("\nUnits:")
    rows = [_row(unit) for unit in units if unit.desired != "inactive"]
    print_table(("UNIT", "MACHINE", "ADDRESS", "ACTIVE", "SUB", "WAITS BECAUSE"), rows)
    click.echo(f"\nPage: {web}" if web else f"\nPage: not yet, {PAGE_UNIT} does not run")


def _row(unit: UnitEntry) -> tuple[str, str, str, str, str, str]:
    machine = unit.machine
    where = (machine.name, machine.address) if machine else ("", "")
    return unit.name, *where, unit.active or "", unit.sub or "", unit.reason or ""
