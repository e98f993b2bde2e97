"""Putting a version of the mapping in force: waited for, and taken back as a whole when a target cannot run it.

Going back is the cluster's doing: the version is on trial for a little longer than the command waits, and the command
only watches. When all is well it says that the version stays; interrupted, it leaves the trial as it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inaetics.cli.common import print_json, say
from inaetics.cli.deploy_display import print_change, tell_trial
from inaetics.cli.deploy_follow import WITHIN_S, Followed, answered, concerned, follow, tell
from inaetics.cli.progress import TerminalStep
from inaetics.errors import Conflict
from inaetics.terminal import writes_over

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.provisioning_wire import VersionReply, VersionRequest
    from inaetics.bundles.records import Version

    Command = TypeVar("Command", bound=Callable[..., Any])

TRIAL_MORE_S = 10.0
"""A version is on trial for so much longer than the command waits: there is no moment between the two."""
LONGEST_TRIAL_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How a change is waited for. `undo`: it is taken back when a target that it concerns fails."""

    block: bool = True
    within_s: float = WITHIN_S
    undo: bool = False

    @property
    def trial_s(self) -> float | None:
        """As the API is asked for it."""
        return min(self.within_s + TRIAL_MORE_S, LONGEST_TRIAL_S) if self.undo else None


def waiting_options(command: Command) -> Command:
    """Add `--timeout` and `--no-block`, passed to the command as `timeout` and `no_block`."""
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        default=WITHIN_S,
        show_default=True,
        help="So long targets may take.",
    )
    no_block = click.option("--no-block", is_flag=True, help="Do not wait until the targets run it.")
    return timeout(no_block(command))


def make_change(client: FleetClient, asked: VersionRequest, waiting: Waiting, output: str) -> int:
    """Ask for a change, show it, and wait for it unless it was only planned; returns the exit code."""
    import msgspec

    from inaetics.api import provisioning_client as api

    reply = api.change(client, msgspec.structs.replace(asked, trial_s=waiting.trial_s))
    if asked.plan or not waiting.block:
        print_change(reply, output)
        return 0
    with _told_when_interrupted(reply):
        if output == "table":
            print_change(reply, output, waited=True)
        followed, undone = _followed(client, asked.target, reply, waiting)
    if output == "json":
        print_json(_document(reply, followed, undone))
    return followed.exit_code


def follow_change(client: FleetClient, reply: VersionReply, waiting: Waiting) -> Followed:
    """Wait for a version that was put in force; what became of it."""
    with _told_when_interrupted(reply):
        return _followed(client, "", reply, waiting)[0]


@contextmanager
def _told_when_interrupted(reply: VersionReply) -> Iterator[None]:
    """Whoever breaks the block off hears what goes on without them."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"version {reply.version} is in force, and targets go on to follow (inaetics deploy show --all)")
        tell_trial(reply)
        raise


def _followed(
    client: FleetClient, target: str, reply: VersionReply, waiting: Waiting
) -> tuple[Followed, tuple[Version, Followed] | None]:
    changed = concerned(reply)
    names = {target} if target else changed
    fatal = changed if reply.trial else frozenset[str]()
    found = _wait(client, reply.version, names, waiting, others=not target, fatal=fatal)
    if reply.trial and not found.taken_back and not found.failed.keys() & fatal and not _stays(client, reply):
        found = _wait(client, reply.version, names, waiting, others=not target, fatal=fatal)
    if not found.taken_back:
        _remedy(reply, found, waiting)
        return found, None
    return found, _undone(client, reply, found, waiting)


def _stays(client: FleetClient, reply: VersionReply) -> bool:
    """End its trial; False when it has just been taken back, or another version was put in force."""
    from inaetics.api.provisioning_client import keep

    try:
        answered(lambda: keep(client, reply.version), until=time.monotonic() + TRIAL_MORE_S)
    except Conflict:
        return False
    return True


def _wait(
    client: FleetClient,
    version: int,
    names: Collection[str],
    waiting: Waiting,
    *,
    others: bool = False,
    fatal: Collection[str] = (),
) -> Followed:
    step = TerminalStep(f"version {version}", live=writes_over(sys.stderr))
    try:
        found = follow(client, version, names, within_s=waiting.within_s, step=step, others=others, fatal=fatal)
    except BaseException:
        step.end("✗", "red")
        raise
    step.end(*(("✗", "red") if found.exit_code else ("✓", "green")))
    tell(found)
    return found


def _remedy(reply: VersionReply, found: Followed, waiting: Waiting) -> None:
    """What to do about targets that do not run what they shall, where nothing was taken back."""
    if found.failed:
        first = next(iter(found.failed))
        why = ""
        if waiting.undo and not reply.before:
            why = " (there is no version before it)"
        elif reply.trial and first in concerned(reply):
            why = " so far: the cluster has not gone back from it (why: the journals of the control hosts' fleet API)"
        say(
            f"version {reply.version} stays in force{why}; only such a target back: inaetics deploy rollback"
            f" {first}; everything: inaetics deploy rollback"
        )
    elif found.late:
        say(f"version {reply.version} stays in force, and targets go on to follow (inaetics deploy show --all)")


def _undone(client: FleetClient, reply: VersionReply, found: Followed, waiting: Waiting) -> tuple[Version, Followed]:
    """The version that the cluster made, and what became of it."""
    from inaetics.api import provisioning_client as api

    back = api.version(client, found.taken_back)
    gave = f", with what version {reply.trial.back_to} gave" if reply.trial else ""
    say(
        f"version {reply.version} is taken back everywhere: version {back.version} is in force{gave}"
        " (to keep what some cannot run: --keep-going)"
    )
    return back, _wait(client, back.version, concerned(reply), waiting)


def _document(reply: VersionReply, found: Followed, undone: tuple[Version, Followed] | None) -> dict[str, Any]:
    import msgspec

    made: dict[str, Any] = msgspec.to_builtins(reply)
    made["followed"] = asdict(found)
    made["undone"] = None
    if undone is not None:
        version, followed = undone
        shown = {"version": version.version, "note": version.note, "by": version.by, "at": version.at}
        made["undone"] = shown | {"followed": asdict(followed)}
    return made
