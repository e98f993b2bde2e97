"""Where the store is and who we are there: endpoints and certificates as people write them, checked and read."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from inaetics.errors import InvalidInput, Unavailable

SERVER_NAME = "inaetics"
"""The DNS name in every server certificate: with several members behind one channel, gRPC checks this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files (PEM) for mutual TLS: whom to trust, and who we are."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The contents of `Tls`."""

    ca: bytes
    cert: bytes
    key: bytes


def read_credentials(tls: Tls) -> Credentials:
    """Read the files; raises InvalidInput naming the one that cannot be read."""
    return Credentials(ca=_read(tls.ca), cert=_read(tls.cert), key=_read(tls.key))


_COMMON_NAME = bytes.fromhex("0603550403")
"""The object identifier 2.5.4.3 in DER."""


def common_name(certificate: bytes) -> str:
    """The name a certificate (PEM) was made out to, for messages; "?" where it cannot be found.

    The second common name in it: the first is the issuer's. Nothing heavy is loaded for it.
    """
    try:
        parts = ssl.PEM_cert_to_DER_cert(certificate.decode("ascii")).split(_COMMON_NAME)
        return parts[2][2 : 2 + parts[2][1]].decode()
    except (ValueError, IndexError):
        return "?"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot connect to the store: {path} cannot be read: {error.strerror}") from error


async def resolve(endpoints: Sequence[str], *, tls: bool) -> tuple[str, ...]:
    """Turn `https://host:port` into `address:port` (IPv4). `http://` belongs to no TLS, and only to it.

    Raises InvalidInput for what is not an endpoint, and Unavailable for a name that does not resolve.
    """
    if not endpoints:
        raise InvalidInput("cannot connect to the store: no endpoint given (such as https://127.17.8.101:2379)")
    return tuple([await _address(endpoint, "https" if tls else "http") for endpoint in endpoints])


async def _address(endpoint: str, scheme: str) -> str:
    parts = urlsplit(endpoint)
    try:
        host, port = parts.hostname, parts.port or 2379
    except ValueError as error:
        raise InvalidInput(f"cannot connect to the store at {endpoint!r}: {error}") from error
    if not host or parts.scheme not in {"http", "https"}:
        raise InvalidInput(f"cannot connect to the store at {endpoint!r}: not of the form https://HOST:PORT")
    if parts.scheme != scheme:
        advice = "http:// goes without certificates" if scheme == "https" else "https:// needs CA, certificate and key"
        raise InvalidInput(f"cannot connect to the store at {endpoint!r}: {advice}")
    return f"{await _ipv4(host, endpoint)}:{port}"


async def _ipv4(host: str, endpoint: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.IPv4Address(host))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Unavailable(f"cannot connect to the store at {endpoint!r}: {host!r} has no IPv4 address") from error
    return str(found[0][4][0])
