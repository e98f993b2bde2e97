"""`inaetics image list`: the tags of the cluster's registry, and how many units run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say
from inaetics.errors import Unavailable

if TYPE_CHECKING:
    from inaetics.cli.image_use import Use
    from inaetics.containers.registry import RemoteImage

_BUNDLES = "inaetics/bundles/"
"""Where the registry keeps bundles, which are no images."""


@click.command("list")
@output_option
@cluster_option
def list_(output: str, cluster: str) -> None:
    """List the images of the cluster's registry, and how many units run them.

    Sizes are those of the compressed layers, many of them shared. OLDER counts units that keep another digest than the
    tag means now ('inaetics image update' brings them to it).
    """
    from inaetics.cli.image_work import workshop

    with workshop(cluster).connect() as registry:
        images = [image for image in registry.images() if not image.repository.startswith(_BUNDLES)]
    used = _uses(cluster)
    if output == "json":
        keys = ("repository", "tag", "digest", "identity", "size")
        print_json([{key: getattr(each, key) for key in keys} | _units(each, used) for each in images])
        return
    print_table(("IMAGE", "DIGEST", "MB", "UNITS", "OLDER"), [_row(each, used) for each in images])
    if not images:
        say("the registry has no image (fill it: inaetics image build, then inaetics image push)")


def _uses(cluster: str) -> Sequence[Use] | None:
    """What units run; None while no API answers."""
    from inaetics.cli.image_use import uses
    from inaetics.cli.session import Session

    try:
        with Session(cluster=cluster).client() as client:
            return uses(client)
    except Unavailable as error:
        say(f"warning: which units run them is not known: {error}")
        return None


def _units(image: RemoteImage, used: Sequence[Use] | None) -> dict[str, object]:
    """How many units follow the tag; templates are none, as they never run."""
    from inaetics.cli.image_inspect import is_of
    from inaetics.units.names import parse_name

    if used is None:
        return {"units": None, "older": None}
    of_it = [use for use in used if is_of(use.image, f"{image.repository}:{image.tag}")]
    users = [use for use in of_it if not parse_name(use.unit).is_template]
    older = [use for use in users if use.keeps and use.keeps != image.digest]
    return {"units": len(users), "older": len(older)}


def _row(image: RemoteImage, used: Sequence[Use] | None) -> tuple[str, ...]:
    counts = ("" if count is None else str(count) for count in _units(image, used).values())
    return (f"{image.repository}:{image.tag}", image.digest[:19], f"{image.size / 1e6:.1f}", *counts)
