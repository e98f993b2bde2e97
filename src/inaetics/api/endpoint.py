"""Where an API listens, as people write it, and the connection to it. Imports nothing that starts slowly.

`unix:///run/…/fleet.sock`, also as `file://…` or just the path; `https://ADDRESS[:PORT]` with a client certificate;
`http://…` for what somebody put before it (a tunnel).
"""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inaetics.errors import InvalidInput
from inaetics.override import override
from inaetics.ports import API_PORT

if TYPE_CHECKING:
    import ssl

    from inaetics.api.tunnel import Tunnel


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """The files of mutual TLS: whom to trust, and who we are."""

    ca: Path
    cert: Path
    key: Path


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


def address_of(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint that is reached over the network; raises `InvalidInput` when it names none."""
    try:
        parts = urlsplit(endpoint)
    except ValueError as error:
        raise InvalidInput(f"endpoint {endpoint!r} is no URL: {error}") from error
    if not parts.hostname:
        raise InvalidInput(f"endpoint {endpoint!r} names no host: write unix:///PATH or https://ADDRESS:{API_PORT}")
    try:
        return parts.hostname, parts.port or API_PORT
    except ValueError as error:
        raise InvalidInput(f"endpoint {endpoint!r}: {error}") from error


def socket_path(endpoint: str) -> str | None:
    """The path of a Unix socket's endpoint; None for one that is reached over the network."""
    if endpoint.startswith("/"):
        return endpoint
    scheme, colon, rest = endpoint.partition(":")
    if not colon or scheme not in ("unix", "file", "http", "https"):
        raise InvalidInput(f"endpoint {endpoint!r} is neither unix:///PATH nor https://ADDRESS:{API_PORT}")
    return rest.removeprefix("//") if scheme in ("unix", "file") else None


def client_context(endpoint: str, tls: ClientTls | None) -> ssl.SSLContext:
    """What a client shows and trusts; raises `InvalidInput` for a certificate that is missing or cannot be used."""
    from inaetics import tls as contexts

    if tls is None:
        raise InvalidInput(
            f"endpoint {endpoint} wants a client certificate: give --ca-file, --cert-file and --key-file,"
            " or use the cluster's socket"
        )
    return contexts.client_context(ca=tls.ca, cert=tls.cert, key=tls.key, whose="the client's")
