"""Mutual TLS between agents: who has no certificate of the cluster neither calls nor answers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsContexts:
    """For answering calls and for making them. A caller checks that the certificate names the address it called."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def tls_contexts(directory: Path) -> TlsContexts:
    """Read ``ca.pem``, ``cert.pem`` and ``key.pem`` in `directory`. Raises `InvalidInput` for what cannot be used."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.verify_mode = ssl.CERT_REQUIRED
    try:
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_verify_locations(directory / "ca.pem")
            context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"cannot use the certificates in {directory}: {error}") from error
    return TlsContexts(server=server, client=client)
