"""`inaetics doctor`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option, output_option, print_json
from inaetics.terminal import painted

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}


@click.command("doctor")
@output_option
@cluster_option
def command(output: str, cluster: str) -> int:
    """Say what is missing or wrong, and what would help. Changes nothing; exits with 1 when something is wrong.

    The first run tries the container engine, which takes some seconds.
    """
    from inaetics.hosts.doctor import Level, examine
    from inaetics.hosts.paths import cluster_paths
    from inaetics.logs import configure_logs

    configure_logs(level="error")
    findings = []
    for each in examine(cluster_paths(cluster)):
        findings.append(each)
        if output == "table":
            mark, color = MARKS[each.level]
            click.echo(f"{painted(mark, color)} {each.what}: {each.found}")
            if each.help:
                click.echo(f"    {each.help}")
    if output == "json":
        print_json([{"what": f.what, "level": f.level.value, "found": f.found, "help": f.help} for f in findings])
    return 1 if any(each.level is Level.WRONG for each in findings) else 0
