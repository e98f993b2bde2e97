"""`inaetics bundle`: make bundles, and bring them into the cluster's repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inaetics.cli.bundle_init import init
from inaetics.cli.bundle_prune import prune
from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say
from inaetics.cli.deploy_change import Waiting, follow_change, waiting_options
from inaetics.cli.deploy_display import tell_trial
from inaetics.cli.progress import TerminalProgress
from inaetics.cli.rollout_display import when, who
from inaetics.cli.session import Session
from inaetics.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inaetics.api.client import FleetClient
    from inaetics.api.provisioning_wire import VersionReply
    from inaetics.bundles.archive import Archive
    from inaetics.bundles.records import Artifact
    from inaetics.cli.bundle_work import Pushed

_SOURCES = click.argument("sources", metavar="[DIR|ARCHIVE]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
_ENDPOINT = click.option(
    "--endpoint", metavar="URL", envvar="FLEETCTL_ENDPOINT", help="The fleet's API, when not this machine's cluster."
)


@click.group("bundle")
def bundle() -> None:
    """Make bundles, the software of node agents, and bring them into the cluster's repository.

    A bundle is a folder with a bundle.json: its name, version, what it requires and provides. Pushing signs it with
    the cluster's signer, and changes nothing that runs: 'inaetics deploy apply' does.

    \b
      inaetics bundle init clock                 a folder to begin with
      inaetics bundle build clock                check and pack it: clock-1.0.0.zip
      inaetics bundle push clock                 sign it, and into the repository
      inaetics bundle list
      inaetics bundle prune --plan               what nothing needs any more
      inaetics bundle push --demonstrator        the demonstrator's own, with their mapping
    """


bundle.add_command(init)
bundle.add_command(prune)


@bundle.command("build")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to", metavar="DIR", default=".", type=click.Path(path_type=Path), help="Where the archives go; else here."
)
@output_option
def build(folders: tuple[Path, ...], to: Path, output: str) -> None:
    """Check bundle folders and pack each into an archive; the same files give the same archive, byte for byte.

    A DIR is a bundle's folder, or a folder of several. Java sources in its folder src are compiled, by this machine's
    JDK.
    """
    from inaetics.bundles.archive import open_archive
    from inaetics.cli.bundle_work import build_folders

    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if to.is_file() else error.strerror or str(error)
        raise InvalidInput(f"cannot put archives into {to}: {why} (name a folder: --to DIR)") from error
    built = [open_archive(path) for path in build_folders(folders, to)]
    if output == "json":
        rows = [{"file": str(each.path), "sha256": each.sha256, "size": each.size} for each in built]
        print_json(rows)
    else:
        print_table(("ARCHIVE", "SHA256", "SIZE"), [(each.path, each.sha256[:16], _size(each.size)) for each in built])


@bundle.command("push")
@_SOURCES
@click.option(
    "--demonstrator", is_flag=True, help="The demonstrator's bundles, and its mapping unless there is another."
)
@click.option(
    "--replace",
    is_flag=True,
    help="Also where this version is there with other content: a version of the mapping with it is made at once.",
)
@click.option("--reason", metavar="TEXT", default="", help="With --replace: why, for 'inaetics deploy history'.")
@click.option("--plan", is_flag=True, help="Only show what would be pushed, and what it would change where.")
@waiting_options
@output_option
@_ENDPOINT
@cluster_option
def push(
    sources: tuple[Path, ...],
    demonstrator: bool,
    replace: bool,
    reason: str,
    plan: bool,
    timeout: float,
    no_block: bool,
    output: str,
    cluster: str,
    endpoint: str | None,
) -> int:
    """Sign bundles (folders or archives) and push them to the cluster's registry; then make them known.

    What is there already is left alone. Nothing that runs changes until a mapping is applied.

    With --replace, what took the place of another archive reaches the agents at once: as a new version of the mapping
    in force, so that 'inaetics deploy history' names it and 'inaetics deploy rollback' brings the archive before back.
    Agents that are held keep theirs. The command waits for the agents as 'inaetics deploy apply' does; when one cannot
    run it, the cluster puts the version before in force again. With --demonstrator nothing is taken back.
    """
    from inaetics.cli.bundle_plan import plan_push, print_push_plan
    from inaetics.cli.bundle_work import archives
    from inaetics.cli.bundle_work import demonstrator as shipped

    if demonstrator == bool(sources):
        raise InvalidInput("name bundles to push, or give --demonstrator: inaetics bundle push DIR|ARCHIVE...")
    waiting = Waiting(block=not no_block, within_s=timeout, undo=not demonstrator)
    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        if plan:
            with shipped() if demonstrator else archives(sources) as found:
                print_push_plan(plan_push(client, found, by=who(), replace=replace, shipped=demonstrator), output)
            return 0
        if demonstrator:
            made = _push_demonstrator(client, cluster)
        else:
            with archives(sources) as found:
                made = _push(client, cluster, found, waiting, replace=replace, reason=reason, output=output)
        if made is None:
            return 0
        if no_block:
            tell_trial(made)
            return 0
        return follow_change(client, made, waiting).exit_code


def _push_demonstrator(client: FleetClient, cluster: str) -> VersionReply | None:
    from inaetics.cli.bundle_work import pushed_demonstrator

    with TerminalProgress().step("push bundles") as step:
        done = pushed_demonstrator(client, cluster, by=who(), progress=step.update)
    say(f"{done.new or 'no'} new bundles; {done.mapping}")
    return done.made


def _push(
    client: FleetClient,
    cluster: str,
    found: Sequence[Archive],
    waiting: Waiting,
    *,
    replace: bool,
    reason: str,
    output: str,
) -> VersionReply | None:
    from inaetics.cli.bundle_work import depot, push_bundles, use_newest

    with TerminalProgress().step("push bundles") as step:
        pushed = push_bundles(client, depot(cluster), found, by=who(), replace=replace, progress=step.update)
        trial_s = waiting.trial_s
        made = use_newest(client, pushed, by=who(), reason=reason, trial_s=trial_s) if replace else None
    _show_pushed(pushed, made, output)
    return made


def _show_pushed(pushed: Sequence[Pushed], made: VersionReply | None, output: str) -> None:
    if output == "json":
        print_json([_record(each.artifact) | {"unchanged": each.unchanged} for each in pushed])
        return
    rows = [
        (each.artifact.name, each.artifact.version, each.artifact.sha256[:16], _outcome(each.unchanged))
        for each in pushed
    ]
    print_table(("BUNDLE", "VERSION", "SHA256", "RESULT"), rows)
    if made is not None:
        say(f"version {made.version} is in force: {made.note}; agents follow now (go back: inaetics deploy rollback)")
    elif any(not each.unchanged for each in pushed):
        say("nothing that runs has changed (see what would: inaetics deploy plan; do it: inaetics deploy apply)")


@bundle.command("list")
@output_option
@_ENDPOINT
@cluster_option
def list_(output: str, cluster: str, endpoint: str | None) -> None:
    """List the bundles in the repository, the newest version of each first."""
    from inaetics.api.provisioning_client import bundles

    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        found = bundles(client)
    if output == "json":
        print_json([_record(each) for each in found])
        return
    rows = [
        (each.name, each.version, _size(each.size), each.sha256[:16], when(each.at), each.by, ", ".join(each.requires))
        for each in found
    ]
    print_table(("BUNDLE", "VERSION", "SIZE", "SHA256", "PUSHED", "BY", "REQUIRES"), rows)
    if not found:
        say("the repository is empty (fill it: inaetics bundle push DIR...)")


@bundle.command("remove")
@click.argument("bundles", metavar="NAME@VERSION...", nargs=-1, required=True)
@_ENDPOINT
@cluster_option
def remove(bundles: tuple[str, ...], cluster: str, endpoint: str | None) -> None:
    """Forget versions of bundles that no version of the mapping needs.

    Their archives go from the registries with the garbage there: inaetics bundle prune, or image prune --registry.
    """
    from inaetics.cli.bundle_work import depot, remove_bundle

    place = depot(cluster) if endpoint is None else None
    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        for text in bundles:
            name, at, version = text.partition("@")
            if not at or not version:
                raise InvalidInput(f"{text!r} names no version: give NAME@VERSION, such as clock@1.0.0")
            remove_bundle(client, place, name, version)
            say(f"{text} is forgotten")


def _outcome(unchanged: bool) -> str:
    return "unchanged" if unchanged else "signed and pushed"


@bundle.command("sign")
@_ENDPOINT
@cluster_option
def sign(cluster: str, endpoint: str | None) -> None:
    """Sign the bundles of the repository anew whose signatures do not count any more.

    That is so when the signer's certificate ended, and after the cluster's authority was replaced.
    """
    from inaetics.cli.bundle_work import depot, sign_again

    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        signed = sign_again(client, depot(cluster))
    say(f"signed anew: {', '.join(each.manifest.key for each in signed) or 'none, every signature counts'}")


def _size(size: int) -> str:
    return f"{size / 1024:.0f} KB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MB"


def _record(artifact: Artifact) -> dict[str, object]:
    import msgspec

    found: dict[str, object] = msgspec.to_builtins(artifact)
    found["signed"] = found.pop("signature", None) is not None
    return found
