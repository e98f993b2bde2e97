"""Putting a version of the mapping in force: waited for, and taken back as a whole when a target cannot run it.

Going back is this command's doing, another version like any other: who interrupts it, or does not wait, leaves in force
what was applied. Each target goes back by itself in any case, and runs what it ran.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inaetics.cli.common import print_json, say
from inaetics.cli.deploy_display import print_change
from inaetics.cli.deploy_follow import WITHIN_S, Followed, concerned, follow, tell
from inaetics.cli.progress import TerminalStep
from inaetics.cli.rollout_display import who
from inaetics.errors import InaeticsError

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.provisioning_wire import VersionReply, VersionRequest

    Command = TypeVar("Command", bound=Callable[..., Any])

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How a change is waited for. `undo`: take it back when a target that it concerns fails."""

    block: bool = True
    within_s: float = WITHIN_S
    undo: bool = False


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
    from inaetics.api import provisioning_client as api

    reply = api.change(client, asked)
    if asked.plan or not waiting.block:
        print_change(reply, output)
        return 0
    if output == "table":
        print_change(reply, output, waited=True)
    followed, undone = follow_change(client, reply, waiting, target=asked.target)
    if output == "json":
        print_json(_document(reply, followed, undone))
    return followed.exit_code


def follow_change(
    client: FleetClient, reply: VersionReply, waiting: Waiting, *, target: str = ""
) -> tuple[Followed, tuple[VersionReply, Followed] | None]:
    """Wait for a version that was put in force, for all targets or for one; what became of it, and of its undoing."""
    try:
        return _followed(client, target, reply, waiting)
    except KeyboardInterrupt:
        say(f"version {reply.version} is in force, and targets go on to follow (inaetics deploy show --all)")
        raise


def _followed(
    client: FleetClient, target: str, reply: VersionReply, waiting: Waiting
) -> tuple[Followed, tuple[VersionReply, Followed] | None]:
    changed = concerned(reply)
    names = {target} if target else changed
    fatal = changed.__contains__ if waiting.undo and reply.before else _never
    found = _wait(client, reply.version, names, waiting, others=not target, stop_at=fatal)
    if not any(map(fatal, found.failed)):
        _remedy(reply, found, waiting)
        return found, None
    return found, _undo(client, reply, found, waiting)


def _never(target: str) -> bool:
    return False


def _wait(
    client: FleetClient,
    version: int,
    names: set[str],
    waiting: Waiting,
    *,
    others: bool = False,
    stop_at: Callable[[str], bool] = _never,
) -> Followed:
    step = TerminalStep(f"version {version}", live=sys.stderr.isatty())
    try:
        found = follow(client, version, names, within_s=waiting.within_s, step=step, others=others, stop_at=stop_at)
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
        first_version = " (there is no version before it)" if waiting.undo and not reply.before else ""
        say(
            f"version {reply.version} stays in force{first_version}; only such a target back: inaetics deploy rollback"
            f" {first}; everything: inaetics deploy rollback"
        )
    elif found.late:
        say(f"version {reply.version} stays in force, and targets go on to follow (inaetics deploy show --all)")


def _undo(
    client: FleetClient, reply: VersionReply, found: Followed, waiting: Waiting
) -> tuple[VersionReply, Followed] | None:
    """Put the version before in force again, everywhere, and wait for that."""
    from inaetics.api import provisioning_client as api
    from inaetics.api.provisioning_wire import VersionRequest

    target, reason = next(iter(found.failed.items()))
    why = f"{target} {reason}"[:LONGEST_REASON]
    asked = VersionRequest(back_to=reply.before, expected=reply.version, by=who(), reason=why)
    try:
        back = api.change(client, asked)
    except InaeticsError as error:
        say(f"version {reply.version} stays in force, it could not be taken back: {error}")
        return None
    say(
        f"version {reply.version} is taken back everywhere: version {back.version} is in force, with what version"
        f" {reply.before} gave (to keep what some cannot run: --keep-going)"
    )
    return back, _wait(client, back.version, concerned(back), waiting)


def _document(reply: VersionReply, found: Followed, undone: tuple[VersionReply, Followed] | None) -> dict[str, Any]:
    import msgspec

    made: dict[str, Any] = msgspec.to_builtins(reply)
    made["followed"] = asdict(found)
    made["undone"] = None if undone is None else msgspec.to_builtins(undone[0]) | {"followed": asdict(undone[1])}
    return made
