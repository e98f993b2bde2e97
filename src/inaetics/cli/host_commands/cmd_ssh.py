"""`inaetics ssh`."""

from __future__ import annotations

import click

from inaetics.cli.common import cluster_option
from inaetics.cli.host_commands.arguments import host_argument


@click.command("ssh", context_settings={"allow_interspersed_args": False})
@host_argument
@click.argument("words", metavar="[-- CMD [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@cluster_option
def command(host: str, words: tuple[str, ...], cluster: str) -> None:
    """Open a shell in a host's environment, or run one command there; the exit code is the command's.

    podman is the host's own store; etcdctl and fleetctl have your certificate. Options of ours come before HOST.

    \b
      inaetics ssh worker-1
      inaetics ssh worker-2 -- podman ps
      inaetics ssh worker-1 -- etcdctl endpoint status --cluster -w table
      inaetics ssh bootstrap 'curl -s --cacert $INAETICS_PKI/ca.pem --cert $INAETICS_PKI/agent.pem \\
                              --key $INAETICS_PKI/agent.key https://$INAETICS_REGISTRY/v2/_catalog'
    """
    from inaetics.hosts.paths import cluster_paths
    from inaetics.hosts.shell import enter

    enter(cluster_paths(cluster), host, words[1:] if words[:1] == ("--",) else words)
