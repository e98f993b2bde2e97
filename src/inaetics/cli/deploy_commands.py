"""`inaetics deploy`: which bundles the node agents receive, since when, by whom; and how to go back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inaetics.cli.common import cluster_option, output_option, print_json, say
from inaetics.cli.deploy_change import Waiting, make_change, waiting_options
from inaetics.cli.deploy_display import print_history, print_targets, print_versions
from inaetics.cli.rollout_display import when, who
from inaetics.cli.session import Session
from inaetics.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from inaetics.api.provisioning_wire import VersionRequest

    Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
_SHIPPED = click.option("--shipped", is_flag=True, help="The demonstrator's mapping, which came with this software.")
_PLAN = click.option("--plan", is_flag=True, help="Only show what would change.")
_FROM = click.option(
    "--from",
    "expected",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Refuse when another version than this one is in force.",
)
_REASON = click.option("--reason", metavar="TEXT", default="", help="Why; it stands in the history.")


def _common(command: Command) -> Command:
    """Add what every command takes."""
    endpoint = click.option(
        "--endpoint",
        metavar="URL",
        envvar="FLEETCTL_ENDPOINT",
        help="The fleet's API, when not this machine's cluster.",
    )
    return cluster_option(endpoint(output_option(command)))


@click.group("deploy")
def deploy() -> None:
    """Say which bundles the node agents receive; running agents follow at once.

    A mapping is a TOML file: features are named lists of bundles, distributions lists of features, and rules give them
    to targets (agents), by name, by pattern, or by what is known of them. Every mapping that is applied is a version;
    names without a version mean the newest bundles at that moment, and keep meaning them.

    \b
      inaetics deploy show > mapping.toml        what is in force
      inaetics deploy show felix@1 celix@7       what these agents get, and how they are
      inaetics deploy plan mapping.toml          what it would change, agent by agent
      inaetics deploy apply mapping.toml         after editing it
      inaetics deploy apply                      the same mapping, with the newest bundles
      inaetics deploy keep                       whatever agents say of it
      inaetics deploy rollback                   the version before, exactly as it was
      inaetics deploy rollback felix@1           only this agent, which is held there
      inaetics deploy history felix@1            what it was given, and what came of it

    The provisioning server's page (port 8080 of its host) shows the same, live.
    """


@deploy.command("show")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="Every agent that is known.")
@_common
def show(targets: tuple[str, ...], everyone: bool, output: str, cluster: str, endpoint: str | None) -> None:
    """Show the mapping in force, or what the named agents get by it and how they are."""
    from inaetics.api import provisioning_client as api

    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        if targets or everyone:
            listed = [api.targets(client, target) for target in targets] or [api.targets(client)]
            print_targets(listed, output)
            return
        version = api.version(client)
    if output == "json":
        import msgspec

        print_json(msgspec.to_builtins(version))
        return
    say(f"# version {version.version}, {version.note} by {version.by or 'somebody'}, {when(version.at)}")
    for target, held in sorted(version.held.items()):
        say(f"# {target} is held at version {held.version} (let it go: inaetics deploy rollback {target} --release)")
    click.echo(version.text, nl=not version.text.endswith("\n"))


@deploy.command("plan")
@_FILE
@_SHIPPED
@_common
def plan(file: Path | None, shipped: bool, output: str, cluster: str, endpoint: str | None) -> None:
    """Show what applying FILE ('-': standard input) would change, agent by agent.

    Without FILE: what the mapping in force would change with the newest bundles.
    """
    _change(cluster, endpoint, _asked(file, shipped, plan=True), Waiting(), output)


@deploy.command("apply")
@_FILE
@_SHIPPED
@_PLAN
@_FROM
@_REASON
@click.option("--keep-going", is_flag=True, help="Leave it in force although some targets cannot run it.")
@waiting_options
@_common
def apply(
    file: Path | None,
    shipped: bool,
    plan: bool,
    expected: int | None,
    reason: str,
    keep_going: bool,
    timeout: float,
    no_block: bool,
    output: str,
    cluster: str,
    endpoint: str | None,
) -> int:
    """Check the mapping in FILE ('-': standard input) and put it in force; none: the same one, with the newest bundles.

    It is refused when somebody else puts another version in force meanwhile. Then the command waits until every target
    that is there runs what it shall. When one of those that get something else refuses it or goes back, the cluster
    puts the version before in force again, everywhere, also when this command was interrupted or does not wait; who is
    only late changes nothing. Exit code 0: all run it; 1: taken back, or not everywhere in time, with the reasons.
    """
    asked = _asked(file, shipped, plan=plan, expected=expected, reason=reason)
    waiting = Waiting(block=not no_block, within_s=timeout, undo=not keep_going)
    return _change(cluster, endpoint, asked, waiting, output)


@deploy.command("keep")
@click.argument("version", required=False, type=click.IntRange(min=1))
@_common
def keep(version: int | None, output: str, cluster: str, endpoint: str | None) -> None:
    """Let the version in force stay, or VERSION if it is that: the cluster does not take it back any more.

    'apply' does so itself once all agents run it. It is needed where nobody waited for that, or some cannot run it.
    """
    from inaetics.api import provisioning_client as api

    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        kept = api.keep(client, version or api.version(client).version)
    if output == "json":
        print_json({"version": kept.version, "was_on_trial": kept.was_on_trial})
    else:
        say(f"version {kept.version} stays in force" + ("" if kept.was_on_trial else "; it was not on trial"))


@deploy.command("rollback")
@click.argument("target", required=False, default="")
@click.option(
    "--to", "number", type=click.IntRange(min=1), metavar="VERSION", help="Which version; else the one before."
)
@click.option("--release", is_flag=True, help="Let a target that is held follow the mapping again.")
@_PLAN
@_FROM
@_REASON
@waiting_options
@_common
def rollback(
    target: str,
    number: int | None,
    release: bool,
    plan: bool,
    expected: int | None,
    reason: str,
    timeout: float,
    no_block: bool,
    output: str,
    cluster: str,
    endpoint: str | None,
) -> int:
    """Go back to what an earlier version gave: everywhere, or at one TARGET.

    Everywhere, the version before is put in force again with exactly its bundles. One TARGET goes back to the youngest
    version that gave it something else, and is held there, whatever is applied, until it is released. The command waits
    as 'apply' does, and takes nothing back by itself.
    """
    from inaetics.api.provisioning_wire import VersionRequest

    if release and (not target or number is not None):
        raise InvalidInput("--release takes a TARGET and no --to: inaetics deploy rollback TARGET --release")
    back_to = None if release else number or 0
    asked = VersionRequest(
        back_to=back_to, target=target, release=release, expected=expected, by=who(), plan=plan, reason=reason
    )
    return _change(cluster, endpoint, asked, Waiting(block=not no_block, within_s=timeout), output)


@deploy.command("history")
@click.argument("target", required=False, default="")
@_common
def history(target: str, output: str, cluster: str, endpoint: str | None) -> None:
    """List the versions of the mapping, or what happened at TARGET: given, installed, failed, rolled back."""
    from inaetics.api import provisioning_client as api

    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        if target:
            print_history(api.history(client, target), output)
        else:
            print_versions(api.versions(client), output)


def _asked(
    file: Path | None, shipped: bool, *, plan: bool, expected: int | None = None, reason: str = ""
) -> VersionRequest:
    from inaetics.api.provisioning_wire import VersionRequest
    from inaetics.cli.bundle_work import shipped_mapping

    if shipped and file is not None:
        raise InvalidInput("give one mapping: FILE or --shipped")
    text = shipped_mapping() if shipped else _read(file) if file is not None else None
    return VersionRequest(text=text, expected=expected, by=who(), plan=plan, reason=reason)


def _change(cluster: str, endpoint: str | None, asked: VersionRequest, waiting: Waiting, output: str) -> int:
    """Ask for it, decided from the version that is in force now unless the person named one."""
    import msgspec

    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        if asked.expected is None:
            asked = msgspec.structs.replace(asked, expected=_in_force(client))
        return make_change(client, asked, waiting, output)


def _in_force(client: Any) -> int:
    from inaetics.api import provisioning_client as api

    try:
        return api.version(client).version
    except NotFound:
        return 0


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return str(stream.read())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from error
