"""`inaetics status`."""

from __future__ import annotations

from typing import Any

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say

_PLACES = (("page", "web"), ("provisioning", "provisioning"), ("socket", "socket"))


@click.command("status")
@output_option
@cluster_option
def command(output: str, cluster: str) -> None:
    """Show hosts and units, the pages' addresses, and the socket that speaks the fleet API.

    A host is 'running' when everything it runs itself is up, 'starting', 'degraded' (then it says why), or 'halted'.
    Works with any part of the cluster down; what could not be asked is named.

    \b
      inaetics status --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)["web"])'
    """
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.status import status

    found = status(cluster_paths(cluster))
    if output == "json":
        print_json(found)
    else:
        show(found)


def show(found: dict[str, Any]) -> None:
    """Print the object as tables."""
    hosts = [(each["name"], each["role"], each["address"], each["state"]) for each in found["hosts"]]
    print_table(("HOST", "ROLE", "ADDRESS", "STATE"), hosts)
    units = [(each["name"], each["machine"], each["active"], each["sub"]) for each in found["units"]]
    if units:
        click.echo()
        print_table(("UNIT", "MACHINE", "ACTIVE", "SUB"), units)
    notes = [f"{each['name']}: {each['trouble']}" for each in found["hosts"] if "trouble" in each]
    notes += [f"{each['name']}: {each['reason']}" for each in found["units"] if "reason" in each]
    notes += [found[each] for each in ("message", "certificates", "disk") if each in found]
    places = [(word, found[key]) for word, key in _PLACES if found[key]]
    if places:
        click.echo()
        print_table((), places)
    if notes:
        say("\n" + "\n".join(notes))
