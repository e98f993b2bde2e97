"""`inaetics image registries`: the cluster's image registries, and what each has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Collection

    from inaetics.containers.registries import Collected


@click.command("registries")
@output_option
@cluster_option
def registries(output: str, cluster: str) -> None:
    """Show the cluster's registries: which answer, what each holds, what it has yet to copy, and its disk.

    The one that images are named after comes first; every one may be pushed to and pulled from.
    """
    from inaetics.cli.image_work import workshop
    from inaetics.containers.registries import states

    shop = workshop(cluster)
    found = states(shop.registries, shop.certificates)
    if output == "json":
        print_json([dataclasses.asdict(each) for each in found])
        return
    print_table(
        ("REGISTRY", "HOST", "STATE", "TAGS", "IMAGES", "MB", "TO COPY", "DISK FREE"),
        [
            (
                each.address,
                each.host or "-",
                "answers" if each.answers else "silent",
                *(map(str, (each.tags, each.manifests, round(each.bytes / 1e6), each.missing))),
                f"{each.free / 1e9:.1f} GB" if each.total else "-",
            )
            for each in found
        ],
    )
    for each in found:
        if each.trouble:
            say(f"{each.address}: {each.trouble}")


def prune_registries(
    cluster: str,
    *,
    dry_run: bool = False,
    older_than_s: float | None = None,
    without: Collection[str] = (),
) -> list[Collected]:
    """Remove from one registry after the other what no tag means and the fleet does not need; and archives of bundles
    that are not known any more, or would not be `without` these (hashes).

    Raises `Unavailable` when the fleet cannot be asked what it needs: then nothing is removed.
    """
    from inaetics.api.provisioning_client import archives
    from inaetics.api.registries_wire import IMAGES, ImagesInUse
    from inaetics.cli.image_work import workshop
    from inaetics.cli.session import Session
    from inaetics.containers.registries import GRACE_S, prune

    with Session(cluster=cluster).client() as client:
        keep = client.get_as(IMAGES, ImagesInUse).digests
        known = {f"sha256:{each.sha256}" for each in archives(client) if each.sha256 not in without}
    shop = workshop(cluster)
    grace = GRACE_S if older_than_s is None else older_than_s
    return prune(shop.registries, shop.certificates, keep, archives=known, older_than_s=grace, dry_run=dry_run)


def show_pruned(found: list[Collected], output: str, *, dry_run: bool = False) -> None:
    """Print what each registry gave up."""
    if output == "json":
        print_json([dataclasses.asdict(each) for each in found])
        return
    done = "WOULD GO" if dry_run else "GONE"
    print_table(
        ("REGISTRY", done, "MB FREED"),
        [(each.address, str(len(each.manifests)), f"{each.bytes / 1e6:.1f}") for each in found],
    )
    for name in sorted({name for each in found for name in each.manifests}):
        say(f"{'would go' if dry_run else 'gone'}: {name}")
    for each in found:
        if each.trouble:
            say(f"{each.address}: {each.trouble}")
