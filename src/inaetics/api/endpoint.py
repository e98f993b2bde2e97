"""Where an API listens, as people write it. Imports nothing that starts slowly.

`unix:///run/…/fleet.sock`, also as `file://…` or just the path; `https://ADDRESS[:PORT]` with a client certificate;
`http://…` for what somebody put before it (a tunnel).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inaetics.errors import InvalidInput
from inaetics.ports import API_PORT

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """The files of mutual TLS: whom to trust, and who we are."""

    ca: Path
    cert: Path
    key: Path


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


def check_endpoint(endpoint: str) -> None:
    """Raise `InvalidInput` for what can be no endpoint, whoever listens there."""
    if socket_path(endpoint) is None:
        address_of(endpoint)


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
