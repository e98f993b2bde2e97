"""How updates are shown: as a plan, while they go on, and when they have ended. For `fleetctl` and `inaetics image`."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import print_json, print_table, say
from inaetics.cli.listings import record, short_hash

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.rollouts_wire import RolloutEntry, RolloutReply, StepEntry

_PULLING_AGAIN_S = 1.0
"""How often the amount that was pulled is told."""


def who() -> str:
    """Who asks, as the history shows it."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return "somebody"


def when(seconds: float) -> str:
    """An instant, for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) if seconds else ""


def short_digest(digest: str | None, full: bool = False) -> str:
    """A digest as people read it."""
    return short_hash((digest or "").removeprefix("sha256:"), full)


def change(rollout: RolloutEntry) -> str:
    """From what to what."""
    if not rollout.of_images:
        return f"{short_hash(rollout.old_hash, False)} → {short_hash(rollout.new_hash, False)}"
    old, new = ({short_digest(each) for each in column} for column in zip(*_digests(rollout), strict=True))
    return f"{_one(old)} → {_one(new)}"


def _digests(rollout: RolloutEntry) -> Iterator[tuple[str, str]]:
    yield from ((step.old_image, step.new_image or "") for step in rollout.steps)


def _one(digests: set[str]) -> str:
    return digests.pop() if len(digests) == 1 else f"{len(digests)} images"


def print_plan(rollout: RolloutEntry, output: str) -> None:
    """What would change, where, in which order."""
    if output == "json":
        print_json(record(rollout))
        return
    units = f"{len(rollout.steps)} unit{'s' * (len(rollout.steps) != 1)}"
    click.echo(f"{rollout.target}: {change(rollout)}, {units} in this order, at most {rollout.at_once} at once")
    header = ("", "UNIT", "MACHINE", "FROM", "TO", *(("TO PULL",) if rollout.of_images else ()))
    print_table(
        header, [row for number, step in enumerate(rollout.steps, 1) for row in _planned(rollout, number, step)]
    )
    for step in rollout.skipped:
        click.echo(f"{step.unit} would be skipped: {step.message}")


def _planned(rollout: RolloutEntry, number: int, step: StepEntry) -> Iterator[tuple[str, ...]]:
    """A step's rows: one for each machine that the unit is on."""
    machines = step.machine.split(", ")
    if not rollout.of_images:
        old, new = short_hash(rollout.old_hash, False), short_hash(rollout.new_hash, False)
        yield from ((str(number), step.unit, machine, old, new) for machine in machines)
        return
    old, new = short_digest(step.old_image), short_digest(step.new_image)
    sizes = {pull.machine: _amount(pull.size) for pull in step.pulls}
    yield from ((str(number), step.unit, machine, old, new, sizes.get(machine, "")) for machine in machines)


def _amount(size: int | None) -> str:
    if size is None:
        return "not known"
    return f"{size / 1e6:.1f} MB" if size else "nothing"


def follow_to_the_end(client: FleetClient, reply: RolloutReply, *, block: bool, output: str) -> int:
    """Tell how an update goes on; returns the exit code. With `block` off, only that it does."""
    from inaetics.api.rollouts_client import follow

    rollout = reply.rollout
    if not block:
        if output == "json":
            print_json(record(rollout))
        else:
            click.echo(f"update {rollout.id} of {rollout.target} goes on (see: fleetctl rollouts)")
        return 0
    teller = _Teller()
    for rollout in follow(client, reply):
        if output == "table":
            teller.tell(rollout)
    if output == "json":
        print_json(record(rollout))
    else:
        took = rollout.ended_at - rollout.started_at
        click.echo(
            f"update {rollout.id} of {rollout.target}: {rollout.phase} after {took:.1f} s"
            + (f": {rollout.reason}" if rollout.reason else "")
        )
    return 0 if rollout.phase == "done" else 1


class _Teller:
    """Prints what has changed since the last time."""

    def __init__(self) -> None:
        self._begun = False
        self._goes_back = False
        self._progress: dict[str, str] = {}
        self._doing: dict[str, str] = {}
        self._pulling_told: dict[str, float] = {}

    def tell(self, rollout: RolloutEntry) -> None:
        if not self._begun:
            click.echo(f"update {rollout.id} of {rollout.target}: {change(rollout)}, {len(rollout.steps)} to update")
        self._begun = True
        for step in (*rollout.skipped, *rollout.steps):
            self._step(step)
        if rollout.phase == "undoing" and not self._goes_back:
            self._goes_back = True
            say(f"update {rollout.id} goes back: {rollout.reason}")

    def _step(self, step: StepEntry) -> None:
        is_new = self._progress.get(step.unit, "waiting") != step.progress
        self._progress[step.unit] = step.progress
        if is_new:
            words = step.message or (step.doing if step.progress == "done" else "")
            click.echo(f"  {step.unit} {step.progress}" + (f": {words}" if words else ""))
        if step.doing and step.progress != "done" and self._doing.get(step.unit) != step.doing and self._is_due(step):
            click.echo(f"  {step.unit} {step.doing}")
            self._doing[step.unit] = step.doing

    def _is_due(self, step: StepEntry) -> bool:
        """The amount that was pulled changes often."""
        if ": pulling" not in step.doing:
            return True
        now = time.monotonic()
        if now - self._pulling_told.get(step.unit, float("-inf")) < _PULLING_AGAIN_S:
            return False
        self._pulling_told[step.unit] = now
        return True
