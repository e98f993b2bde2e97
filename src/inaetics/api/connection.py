"""The connection to an API: over its Unix socket, over the network or through a tunnel. Imports nothing slow."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

from inaetics.api.endpoint import ClientTls, address_of, client_context, socket_path
from inaetics.errors import InvalidInput
from inaetics.override import override

if TYPE_CHECKING:
    from inaetics.api.tunnel import Tunnel


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def open_connection(
    endpoint: str, tls: ClientTls | None, *, timeout_s: float, tunnel: Tunnel | None = None
) -> http.client.HTTPConnection:
    """Connect to `endpoint`, which is meant as the other end of the `tunnel` sees it, where there is one.

    Raises `OSError` when nobody answers, `InvalidInput` when it cannot be understood.
    """
    if tunnel is None:
        connection = _connection(endpoint, tls, timeout_s)
    else:
        from inaetics.api.tunnel import TunnelledConnection

        connection = TunnelledConnection(tunnel, endpoint, tls, timeout=timeout_s)
    try:
        connection.connect()
    except UnicodeError as error:  # a name that no host can have
        raise InvalidInput(f"endpoint {endpoint!r} names no host: {error}") from error
    except OSError:
        connection.close()
        raise
    return connection


def _connection(endpoint: str, tls: ClientTls | None, timeout_s: float) -> http.client.HTTPConnection:
    path = socket_path(endpoint)
    if path is not None:
        return UnixConnection(path, timeout=timeout_s)
    host, port = address_of(endpoint)
    if endpoint.startswith("http:"):
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=client_context(endpoint, tls))
