"""The demonstrator from nothing: hosts, images, agents, and a page that shows processed samples.

Promises: every step looks first, so running it again is quick and changes nothing that runs; interrupted, it takes back
what this run has started, and says so.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from inaetics.api.client import FleetClient
from inaetics.api.scale_client import set_automatic
from inaetics.api.wire import UnitEntry
from inaetics.cli import scaling
from inaetics.cli.bundle_work import push_demonstrator
from inaetics.cli.image_update import older_images
from inaetics.cli.image_work import build_images, push_images, workshop
from inaetics.cli.manage import apply, files_in
from inaetics.cli.rollout_display import who
from inaetics.cli.scale_sets import declare_sets
from inaetics.cli.session import Session
from inaetics.errors import CommandFailed, InaeticsError, Unavailable
from inaetics.hosts.cluster import command, known_hosts
from inaetics.hosts.halt import halt
from inaetics.hosts.paths import ClusterPaths, natural
from inaetics.hosts.processes import alive, processes
from inaetics.hosts.progress import Progress, Step
from inaetics.hosts.settle import Request
from inaetics.hosts.status import page
from inaetics.hosts.up import up
from inaetics.ports import PAGE_PORT, PAGE_UNIT

AGENTS = 2
"""Of each kind, unless there are agents already."""

AGENTS_S = 180.0
"""For all containers to run. Each pulls its image first."""

PAGE_S = 120.0
"""For the agents to have their bundles and the first sample to have gone all the way."""

ROOM_S = 15.0
"""How long a unit may wait for a machine: one may just be coming up."""

ASK_S = 3.0
LOOK_S = 0.25


@dataclass(slots=True)
class Traces:
    """What was there before this run, and what it has added: the difference goes when it is interrupted."""

    hosts_on: frozenset[str]
    units: list[str] = field(default_factory=list)


def demo(paths: ClusterPaths, request: Request, progress: Progress) -> str:
    """Bring everything up and return the page's address. Raises what the steps raise."""
    traces = Traces(hosts_on=hosts_on(paths))
    with taken_back(paths, traces, progress):
        up(paths, request, progress)
        _images(paths.name, progress)
        with Session(cluster=paths.name).client() as client:
            with progress.step("bundles in the repository") as step:
                new, mapping = push_demonstrator(client, paths.name, by=who(), progress=step.update)
                step.update(f"{new or 'none'} new")
            progress.note(mapping)
            with progress.step("agents running") as step:
                _agents(client, traces, step)
                is_new = declare_sets(client)
            if older := older_images(client):
                progress.note(older)
            with progress.step("samples on the page") as step:
                address = _page(client, step)
            if is_new:  # and only now: what piles up while agents start is no load
                set_automatic(client, True)
                progress.note(f"processors come and go by the load (off: {command(paths.name, 'scale --auto off')})")
            return address


def hosts_on(paths: ClusterPaths) -> frozenset[str]:
    """The hosts of which something runs."""
    running = processes()
    return frozenset(name for name in known_hosts(paths) if alive(paths.host(name), running))


@contextmanager
def taken_back(paths: ClusterPaths, traces: Traces, progress: Progress) -> Iterator[None]:
    """Undo on Ctrl-C what this run began: destroy the units it submitted, halt the hosts it switched on."""
    try:
        yield
    except KeyboardInterrupt:
        if traces.units:
            progress.note(f"interrupted: destroying what this run submitted ({', '.join(traces.units)})")
            _destroy(paths.name, traces.units, progress)
        began = sorted(hosts_on(paths) - traces.hosts_on, key=natural)
        if began:
            progress.note(f"interrupted: halting what this run started ({', '.join(began)})")
            halt(paths, began, progress)
        progress.note(f"what was built stays; go on with: {command(paths.name, 'demo')}")
        raise


def _destroy(cluster: str, names: Collection[str], progress: Progress) -> None:
    try:
        with Session(cluster=cluster).client() as client:
            for name in names:
                client.destroy(name)
    except InaeticsError as error:
        progress.note(f"some of them stay: {error}")


def _images(cluster: str, progress: Progress) -> None:
    shop = workshop(cluster)
    with progress.step("images built") as step:
        built = build_images(shop, progress=step.update)
        step.update(_counted([each.unchanged for each in built]))
    with progress.step("images in the registry") as step:
        pushed = push_images(shop, progress=step.update)
        step.update(_counted([each.unchanged for each in pushed]))


def _counted(unchanged: list[bool]) -> str:
    new = unchanged.count(False)
    return f"{new} of {len(unchanged)} new" if new else f"{len(unchanged)}, none new"


def _agents(client: FleetClient, traces: Traces, step: Step) -> None:
    """Submit and start the system's units, as many agents as there are already, and wait until all run."""
    present = {unit.name: unit for unit in client.units().units}
    felix, celix = (agents_now(present, kind) for kind in ("felix", "celix"))
    if not felix and not celix:
        felix = celix = AGENTS
    stored = {name: scaling.Stored(hash=unit.hash, desired=unit.desired) for name, unit in present.items()}
    files = files_in(None)
    for action in scaling.plan(stored, files, felix=felix, celix=celix):
        if action.name not in present:
            traces.units.append(action.name)
        apply(client, action, files)
    _wait_active(client, scaling.wanted_units(felix=felix, celix=celix), step)


def agents_now(present: dict[str, UnitEntry], kind: str) -> int:
    """The highest number of an agent of this kind that is wanted running: they are numbered from 1."""
    names = (name for name, unit in present.items() if unit.desired == "launched")
    numbers = (name.removeprefix(f"{kind}@").removesuffix(".service") for name in names if name.startswith(f"{kind}@"))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _wait_active(client: FleetClient, names: Collection[str], step: Step) -> None:
    began = time.monotonic()
    revision: int | None = None
    while True:
        listed = client.units(after=revision, wait_s=1.0)
        revision = listed.revision
        units = {unit.name: unit for unit in listed.units if unit.name in names}
        waited = time.monotonic() - began
        left = {name: unit for name, unit in units.items() if unit.active != "active"}
        step.update(f"{len(units) - len(left)} of {len(names)}")
        if not left and len(units) == len(names):
            return
        _refuse_hopeless(left.values(), waited)
        if waited > AGENTS_S:
            raise Unavailable(
                f"waited {AGENTS_S:.0f} s for {', '.join(sorted(left))}"
                " (see: fleetctl status NAME; fleetctl journal NAME)"
            )


def _refuse_hopeless(units: Collection[UnitEntry], waited: float) -> None:
    for unit in units:
        if unit.active == "failed":
            words = unit.message or unit.result or "no reason was told"
            where = f" on {unit.machine.name}" if unit.machine else ""
            raise CommandFailed(
                f"{unit.name} failed{where}: {words} (see: fleetctl journal {unit.name})", status=1, output=words
            )
        if unit.reason and waited > ROOM_S:
            raise Unavailable(f"{unit.name} waits: {unit.reason}")


def _page(client: FleetClient, step: Step) -> str:
    """Wait until the page tells of stored samples; return its address."""
    end = time.monotonic() + PAGE_S
    last = f"{PAGE_UNIT} has no address yet"
    while time.monotonic() < end:
        address = page(client.units().units, PAGE_UNIT)
        if address is not None:
            stored, last = _stored(address)
            if stored > 0:
                step.update(f"{stored:.0f} stored")
                return address
            step.update(last[:40])
        time.sleep(LOOK_S)
    raise Unavailable(
        f"no processed samples on the page within {PAGE_S:.0f} s: {last}"
        " (see: fleetctl journal felix@1.service; fleetctl journal provisioning.service)"
    )


def _stored(address: str) -> tuple[float, str]:
    """How many samples the page says are stored, and how far it is in words."""
    try:
        with urllib.request.urlopen(f"{address}/systemStats", timeout=ASK_S) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return 0.0, f"the page does not answer: {reason}"
    stages = ("produced", "queued", "processed", "stored")
    said = ", ".join(f"{found[stage]:.0f} {stage}" for stage in stages if stage in found)
    return float(found.get("stored", 0)), said or "the page has nothing to tell yet"


def farther(cluster: str, program: str, *, on_path: bool) -> str:
    """What to do next, for people: the page is where felix@1 is, and goes with it.

    `program` is how this command was called; it is shown where a shell would not find it by its name (`on_path`).
    """
    verb = "inaetics" if on_path else program

    def typed(words: str) -> str:
        return verb + command(cluster, words).removeprefix("inaetics")

    return (
        "The page is where felix@1 is: kill its worker, and it is back at another address. One that stays, with the\n"
        f"cluster's own page:\n\n    {typed('dashboard')}\n\n"
        f"Buttons of the page above ask for a token: {typed('token')}"
    )


def tunnel(address: str, environment: Mapping[str, str], user: str) -> str | None:
    """The command that brings the page to a person who is here over ssh, or None for one who is not.

    SSH_CONNECTION is "client port server port", as sshd sets it.
    """
    parts = environment.get("SSH_CONNECTION", "").split()
    if len(parts) != 4:
        return None
    host = address.removeprefix("http://").partition(":")[0]
    port = "" if parts[3] == "22" else f" -p {parts[3]}"
    return f"ssh -N -L {PAGE_PORT}:{host}:{PAGE_PORT}{port} {user}@{parts[2]}"
