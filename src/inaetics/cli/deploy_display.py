"""How deployments are shown: targets, versions, changes, histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import print_json, print_table, say
from inaetics.cli.rollout_display import when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inaetics.api.provisioning_wire import (
        ChangeEntry,
        TargetEntry,
        TargetHistory,
        TargetList,
        VersionList,
        VersionReply,
    )
    from inaetics.bundles.records import Entry


def print_targets(listed: Sequence[TargetList], output: str) -> None:
    """What targets get, and how they are."""
    import msgspec

    entries = [entry for each in listed for entry in each.targets]
    if output == "json":
        print_json([msgspec.to_builtins(entry) for entry in entries])
        return
    for error in dict.fromkeys(each.error for each in listed if each.error):
        say(f"warning: {error}")
    head = ("TARGET", "BUNDLES", "BY", "RUNS IT", "RUNS", "LAST")
    rows = [(each.target, ", ".join(each.bundles), each.why, _outcome(each), *_standing(each)) for each in entries]
    print_table(head, rows)


def print_change(reply: VersionReply, output: str, *, waited: bool = False) -> None:
    """What a version changes, or would. `waited`: how far its targets are is told next."""
    import msgspec

    if output == "json":
        print_json(msgspec.to_builtins(reply))
        return
    rows = [(each.target, *_columns(each), each.why) for each in reply.changes]
    if rows:
        print_table(("TARGET", "ADDED", "CHANGED", "REMOVED", "KEPT", "WHY"), rows)
    changed = [each for each in reply.changes if each.added or each.changed or each.removed]
    if reply.planned and changed:
        click.echo("\nside by side, each as one step: what starts stands beside what runs before anything stops")
        steps = [(each.target, " → ".join(each.starts), " → ".join(each.stops)) for each in changed]
        print_table(("TARGET", "STARTS, IN THIS ORDER", "THEN STOPS"), steps)
        click.echo()
    where = f"{len(changed)} of {len(reply.changes)} known targets change"
    if reply.planned:
        say(f"version {reply.version} would be: {reply.note}, {reply.rules} rules; {where}; nothing was changed")
    else:
        how = "" if waited else "; they follow now (how far they are: inaetics deploy show --all)"
        say(f"version {reply.version} is in force: {reply.note}, {reply.rules} rules; {where}{how}")
        if not waited:
            tell_trial(reply)


def tell_trial(reply: VersionReply) -> None:
    """For whoever does not wait: what the cluster may do yet."""
    if reply.trial is not None:
        say(
            f"when a target fails within {reply.trial.within_s:g} s, the cluster goes back to what version "
            f"{reply.trial.back_to} gave, everywhere (to keep it whatever happens: inaetics deploy keep)"
        )


def print_versions(listed: VersionList, output: str) -> None:
    """The history of the mapping."""
    import msgspec

    if output == "json":
        print_json(msgspec.to_builtins(listed)["versions"])
        return
    rows = [(each.version, when(each.at), each.by, each.note) for each in listed.versions]
    print_table(("VERSION", "WHEN", "BY", "WHAT"), rows)
    if not rows:
        say("no mapping was applied yet (apply one: inaetics deploy apply FILE)")
    if (trial := listed.trial) is not None:
        until = when(trial.at + trial.within_s)
        say(
            f"version {trial.version} is on trial until {until}: when a target fails, the cluster goes back to what "
            f"version {trial.back_to} gave (to keep it whatever happens: inaetics deploy keep)"
        )


def print_history(history: TargetHistory, output: str) -> None:
    """What happened at one target."""
    import msgspec

    if output == "json":
        print_json(msgspec.to_builtins(history)["entries"])
        return
    rows = [
        (when(each.at), each.event, each.version, each.by, f"{each.seconds:g}" if each.seconds else "", _details(each))
        for each in history.entries
    ]
    print_table(("WHEN", "WHAT", "DEPLOYMENT", "APPLIED BY", "SECONDS", "DETAILS"), rows)
    if not rows:
        say(f"nothing was ever given to {history.target} (who is known: inaetics deploy show --all)")


def _columns(change: ChangeEntry) -> tuple[str, str, str, str]:
    changed = ", ".join(f"{name} {old} → {new}" for name, old, new in change.changed)
    return ", ".join(change.added), changed, ", ".join(change.removed), str(change.kept)


def _outcome(target: TargetEntry) -> str:
    return {"current": "yes", "failed": "no: failed", "given": "not yet", "waiting": "no"}[target.outcome]


def _standing(target: TargetEntry) -> tuple[str, str]:
    """What it runs, and what happened last."""
    if target.standing is None:
        return "", "never asked"
    last = target.standing.last
    told = f"{last.event} {when(last.at)}"
    return target.standing.running, f"{told}: {last.error}" if last.error else told


def _details(entry: Entry) -> str:
    started = f"started {', '.join(entry.started)}" if entry.started else ""
    stopped = f"stopped {', '.join(entry.stopped)}" if entry.stopped else ""
    given = ", ".join(entry.bundles) if entry.event == "given" else ""
    return "; ".join(part for part in (entry.error, given, started, stopped) if part)
