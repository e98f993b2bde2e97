"""fleetctl fd-forward, which the original's own tunnel runs at its other end."""

from __future__ import annotations

import click

from inaetics.errors import InvalidInput, Unavailable


@click.command("fd-forward", hidden=True)
@click.argument("path", metavar="SOCKET")
def command(path: str) -> None:
    """Forward standard input and output to a Unix socket.

    \b
      fleetctl fd-forward /run/inaetics/demo/worker-1/fleet.sock
    """
    from inaetics.api.endpoint import socket_path
    from inaetics.api.far_end import connect, forward

    place = socket_path(path)
    if place is None:
        raise InvalidInput(f"cannot forward to {path}: it is no Unix socket (give its path)")
    try:
        connection = connect(place)
    except OSError as error:
        raise Unavailable(
            f"cannot forward to {place}: {error.strerror or error} (which sockets are there for you:"
            " ls /run/inaetics/*/*/fleet.sock, or below $XDG_RUNTIME_DIR)"
        ) from error
    forward(connection)
