"""`inaetics bundle prune`: versions of bundles that nothing can need any more, and their room in the registries."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.bundles.records import Artifact

GRACE_S = 24 * 3600.0
"""Who pushed a bundle today may be about to apply it."""


@click.command("prune")
@click.option("--plan", is_flag=True, help="Only say what would go.")
@output_option
@cluster_option
def prune(plan: bool, output: str, cluster: str) -> int:
    """Forget versions of bundles that nothing needs, and remove from the registries what nobody knows any more.

    A version of a bundle stays when the mapping in force or one of the last 50 versions names it, when it is the newest
    of its bundle, and for a day. From the registries go the archives of those that are forgotten, of such as were
    removed before, and of replaced ones that no version of the mapping names any more, with images that nothing needs
    (inaetics image prune --registry). So whatever 'inaetics deploy rollback' may go back to stays.
    """
    from inaetics.cli.bundle_work import depot, remove_bundle
    from inaetics.cli.image_registries import prune_registries, show_pruned
    from inaetics.cli.session import Session
    from inaetics.errors import Conflict

    place = depot(cluster)
    with Session(cluster=cluster).client() as client:
        found = spare(client, now=time.time())
        for each in () if plan else found:
            try:
                remove_bundle(client, place, each.name, each.version)
            except Conflict as error:  # a version of the mapping was made meanwhile
                say(str(error))
    given_up = prune_registries(cluster, dry_run=plan, without=[each.sha256 for each in found] if plan else ())
    if output == "json":
        import dataclasses

        forgotten = [{"name": each.name, "version": each.version, "size": each.size} for each in found]
        print_json({"forgotten": forgotten, "registries": [dataclasses.asdict(each) for each in given_up]})
    else:
        _show(found, plan=plan)
        show_pruned(given_up, output, dry_run=plan)
    return int(any(each.trouble for each in given_up))


def spare(client: FleetClient, *, now: float) -> list[Artifact]:
    """The versions of bundles that nothing needs, by name and the newest first."""
    from inaetics.api.provisioning_client import bundles

    needed = set(_needed(client))
    seen: set[str] = set()
    found: list[Artifact] = []
    for each in bundles(client):  # the newest of each name first
        newest = each.name not in seen
        seen.add(each.name)
        if not newest and (each.name, each.version) not in needed and each.at < now - GRACE_S:
            found.append(each)
    return found


def _needed(client: FleetClient) -> Iterator[tuple[str, str]]:
    """Names and versions that a kept version of the mapping gives."""
    from inaetics.api import provisioning_client as api
    from inaetics.bundles.given import used
    from inaetics.bundles.resolve import resolved
    from inaetics.errors import InaeticsError

    repository = api.repository(client)
    for entry in api.versions(client).versions:
        try:
            version = resolved(api.version(client, entry.version), repository)
        except InaeticsError:
            continue  # forgotten meanwhile, or of older software: the API refuses what is needed all the same
        yield from ((pinned.name, pinned.version) for pinned in used(version))


def _show(found: Sequence[Artifact], *, plan: bool) -> None:
    outcome = "would be forgotten" if plan else "forgotten"
    if found:
        rows = [(each.name, each.version, f"{each.size / 1e6:.1f}", outcome) for each in found]
        print_table(("BUNDLE", "VERSION", "MB", "RESULT"), rows)
    else:
        say("every version of a bundle is needed, the newest of its name, or younger than a day")
