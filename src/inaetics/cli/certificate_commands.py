"""`inaetics certificates`: who holds which, until when, and renewing them."""

from __future__ import annotations

from pathlib import Path

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say
from inaetics.cli.progress import TerminalProgress


@click.group("certificates")
def certificates() -> None:
    """Show, renew and issue the cluster's certificates.

    \b
      inaetics certificates show                       when each ends
      inaetics certificates renew                      those that end soon; nothing stops for it
      inaetics certificates issue --read-only NAME     for somebody who may only look
    """


@certificates.command("show")
@output_option
@cluster_option
def show(output: str, cluster: str) -> None:
    """Show every certificate with its end, those that end first on top."""
    import datetime

    from inaetics.hosts.cluster import load
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.renewal import inventory, warning

    paths = cluster_paths(cluster)
    present = load(paths)
    now = datetime.datetime.now(datetime.UTC)
    entries = sorted(inventory(paths, present), key=lambda entry: entry.days_left(now))
    if output == "json":
        print_json(
            [
                {
                    "host": entry.host or None,
                    "name": entry.name,
                    "file": str(entry.file),
                    "ends": entry.ends.isoformat() if entry.ends else None,
                }
                for entry in entries
            ]
        )
        return
    rows = [
        (
            entry.host,
            entry.name,
            entry.ends.strftime("%Y-%m-%d %H:%M UTC") if entry.ends else "cannot be read",
            f"{entry.days_left(now):.0f}",
            entry.file.relative_to(paths.state),
        )
        for entry in entries
    ]
    print_table(("HOST", "NAME", "ENDS", "DAYS", "FILE"), rows)
    if said := warning(paths, present):
        say(f"\nwarning: {said}")


@certificates.command("renew")
@click.option("--all", "everything", is_flag=True, help="Not only those that end soon.")
@click.option("--authorities", is_flag=True, help="Replace the authorities too, and with them every certificate.")
@cluster_option
def renew(everything: bool, authorities: bool, cluster: str) -> None:
    """Renew the certificates that end within 60 days. The cluster may run: no unit stops, none changes its process.

    With --authorities the store's members, the APIs and the agents restart one by one; units go on. Certificates that
    were issued to people are renewed in place: hand the new files out. What node agents have
    connected stays connected; what they connect anew believes the new authorities alone.
    """
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.renewal import renew as make_anew
    from inaetics.hosts.renewal import replace_authorities

    paths = cluster_paths(cluster)
    if authorities:
        replace_authorities(paths, TerminalProgress())
        say("bundles are signed by the old authority still: sign them anew with 'inaetics bundle sign'")
    elif not make_anew(paths, TerminalProgress(), everything=everything):
        say("none of them ends soon (renew them all the same: --all)")


@certificates.command("issue")
@click.argument("name")
@click.option("--read-only", is_flag=True, required=True, help="The holder may look at everything and change nothing.")
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), help="Also copy certificate, key and CA there."
)
@cluster_option
def issue(name: str, read_only: bool, into: Path | None, cluster: str) -> None:
    """Issue a certificate to NAME that the fleet's API accepts for reading and nothing else does at all.

    It is renewed with the others. Its three files go to the holder: certificate, key, and the cluster's CA.
    """
    from inaetics.hosts.cluster import load
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.pki import issue_reader
    from inaetics.hosts.renewal import hand_out

    paths = cluster_paths(cluster)
    present = load(paths)
    certificate, key = issue_reader(paths, cluster, name)
    ca = paths.pki / "ca.pem"
    if into is not None:
        certificate, key, ca = hand_out(into, certificate, key, ca)
    endpoint = ",".join(present.api_endpoints)
    say(f"fleetctl --endpoint {endpoint} --ca-file {ca} --cert-file {certificate} --key-file {key} list-units")
