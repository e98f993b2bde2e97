"""`inaetics image`: build, push and list the images of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table
from inaetics.cli.image_build import build
from inaetics.cli.image_inspect import inspect
from inaetics.cli.image_list import list_
from inaetics.cli.image_prune import prune
from inaetics.cli.image_registries import registries
from inaetics.cli.image_update import update
from inaetics.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from inaetics.containers.push import Pushed


@click.group("image")
def image() -> None:
    """Build the images of the node agents and of the provisioning server, and bring them into the cluster's registry.

    Images are made from Debian packages, locked Python packages and this project itself; no registry on the internet
    is needed. A unit keeps the image it runs when its tag is pushed anew, until 'inaetics image update'.

    \b
      inaetics image build                   all but the one for Java, as far as something changed
      inaetics image push felix-agent        one of them, into the registry
      inaetics image update --plan           which units have a newer image, and what an update would do
      inaetics image list                    what the registry holds, and how many units run it
      inaetics image inspect felix-agent     layers, what it was made from, which units run which digest
      inaetics image build mine --context .  an image of your own, from a folder with a Containerfile
      inaetics image prune --plan            what nobody needs any more
      inaetics image registries              the registry's copies on the control hosts

    By hand: 'inaetics ssh bootstrap', then podman build and podman push; the store is the same.
    """


@image.command("push")
@click.argument("names", metavar="[IMAGE]...", nargs=-1)
@output_option
@cluster_option
def push(names: tuple[str, ...], output: str, cluster: str) -> None:
    """Push images to the cluster's registry; what it has already is not sent again.

    None named: all but felix-agent:java.
    """
    from inaetics.cli.image_work import push_images, workshop

    with TerminalProgress().step("push images") as step:
        pushed = push_images(workshop(cluster), names, progress=step.update)
    if output == "json":
        print_json([{"name": each.reference, "digest": each.digest, "unchanged": each.unchanged} for each in pushed])
    else:
        rows = [(each.reference, each.digest[:19], _outcome(each)) for each in pushed]
        print_table(("IMAGE", "DIGEST", "RESULT"), rows)


def _outcome(each: Pushed) -> str:
    if not each.sent:
        return "tagged: the hosts share docker's images"
    return "unchanged" if each.unchanged else "pushed"


image.add_command(build)
image.add_command(list_)
image.add_command(inspect)
image.add_command(prune)
image.add_command(update)
image.add_command(registries)
