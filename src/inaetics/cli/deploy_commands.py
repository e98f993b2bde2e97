"""`inaetics deploy`: which bundles the node agents receive."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say
from inaetics.cli.session import Session
from inaetics.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from inaetics.bundles.manifest import Manifest

    Command = TypeVar("Command", bound=Callable[..., Any])

SHIPPED = "the mapping as shipped"


def _common(command: Command) -> Command:
    """Add what both commands take."""
    command = click.option(
        "--bundles",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="A directory of bundle folders or archives to check against, instead of the demonstrator's.",
    )(command)
    endpoint = click.option(
        "--endpoint",
        metavar="URL",
        envvar="FLEETCTL_ENDPOINT",
        help="The fleet's API, when not this machine's cluster.",
    )
    return cluster_option(endpoint(command))


@click.group("deploy")
def deploy() -> None:
    """Say which bundles the node agents receive; running agents follow at once.

    A mapping is a TOML file: features are named lists of bundles, rules give features and bundles to targets (agents),
    and the first rule whose target fits is taken.

    \b
      inaetics deploy show > mapping.toml      what is in force
      inaetics deploy show felix@1 celix@7     what these agents get
      inaetics deploy apply mapping.toml       after editing it
      inaetics deploy apply --shipped          back to the demonstrator's own

    The provisioning server's page (port 8080 of its host) shows what each agent runs, and why not when it does not.
    """


@deploy.command("show")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@output_option
@_common
def show(targets: tuple[str, ...], output: str, cluster: str, endpoint: str | None, bundles: Path | None) -> None:
    """Show the mapping in force, or what the named targets get by it."""
    from inaetics.bundles.mapping import parse_mapping

    text, source = _in_force(Session(cluster=cluster, endpoint=endpoint))
    if not targets:
        if output == "json":
            print_json({"source": source, "mapping": text})
        else:
            say(f"# {source}")
            click.echo(text, nl=not text.endswith("\n"))
        return
    mapping = parse_mapping(text, _known(bundles), source=source)
    given = {target: [bundle.key for bundle in mapping.bundles_for(target)] for target in targets}
    if output == "json":
        print_json({"source": source, "targets": given})
    else:
        print_table(("TARGET", "BUNDLES"), [(target, ", ".join(names)) for target, names in given.items()])


@deploy.command("apply")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--shipped", is_flag=True, help="Apply the mapping that came with this software.")
@_common
def apply(file: Path | None, shipped: bool, cluster: str, endpoint: str | None, bundles: Path | None) -> None:
    """Check the mapping in FILE ('-': standard input) and put it in force."""
    from inaetics.bundles.mapping import parse_mapping

    if shipped == (file is not None):
        raise InvalidInput("name one mapping: inaetics deploy apply FILE, or inaetics deploy apply --shipped")
    source = SHIPPED if file is None else "standard input" if str(file) == "-" else str(file)
    text = _shipped() if file is None else _read(file)
    mapping = parse_mapping(text, _known(bundles), source=source)
    with Session(cluster=cluster, endpoint=endpoint).client() as client:
        revision = client.put_mapping(text)
    say(f"{source} is in force with {len(mapping.rules)} rules (revision {revision}); running agents follow it now")


def _in_force(session: Session) -> tuple[str, str]:
    """The mapping's text, and where it is from."""
    with session.client() as client:
        try:
            return client.mapping(), f"the mapping of cluster {session.cluster}"
        except NotFound:
            return _shipped(), SHIPPED


def _shipped() -> str:
    return (files("inaetics.demonstrator") / "mapping.toml").read_text("utf-8")


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return str(stream.read())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from error


def _known(bundles: Path | None) -> tuple[Manifest, ...]:
    """The bundles a mapping may name: those of the demonstrator unless a directory is given."""
    from inaetics.provisioning.repository import read_repository, read_sources

    if bundles is None:
        with as_file(files("inaetics.demonstrator") / "bundles") as folder:
            return read_sources(folder)
    return (*read_sources(bundles), *read_repository(bundles).manifests)
