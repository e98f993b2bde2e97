"""`inaetics dashboard`."""

from __future__ import annotations

from typing import Any

import click

from inaetics.cli.common import cluster_option, say
from inaetics.cli.session import Session, tls_options


@click.command("dashboard")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=0,
    help="Listen here on 127.0.0.1; else any free port.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--endpoint", metavar="URL", envvar="FLEETCTL_ENDPOINT", help="The fleet's API, when not this machine's.")
@tls_options
@cluster_option
def command(port: int, no_browser: bool, **options: Any) -> None:
    """Open the cluster's page: machines, units and why they are where they are, events, journals, agents' software.

    Every control host serves it, to those who show a certificate. This command shows yours on the browser's behalf, so
    that no certificate has to be imported and none is warned of: it serves 127.0.0.1 until it is interrupted, lets in
    who has the address it prints, and lets them look; the demonstrator's controls and those of what agents run (see
    'inaetics deploy') work too, with the cluster's token where you have it (else the page asks for it).
    """
    import webbrowser

    from inaetics.api.gateway import Gateway
    from inaetics.cli.rollout_display import who

    session = Session.of(options)
    session.way()  # what is wrong is said now, not in the browser
    with Gateway(session.way, token=session.control_token, who=who(), port=port) as gateway:
        click.echo(gateway.url)
        say("serving until Ctrl-C; keep the address to yourself, it carries the key")
        if not no_browser:
            webbrowser.open(gateway.url)
        gateway.serve_forever()
