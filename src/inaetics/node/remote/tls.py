"""Mutual TLS between agents: who has no certificate of the cluster neither calls nor answers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from inaetics.tls import client_context, server_context


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsContexts:
    """For answering calls and for making them. A caller checks that the certificate names the address it called."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def tls_contexts(directory: Path) -> TlsContexts:
    """Read ``ca.pem``, ``cert.pem`` and ``key.pem`` in `directory`. Raises `InvalidInput` for what cannot be used."""
    ca, cert, key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    server = server_context(ca=ca, cert=cert, key=key, whose="the node agents'")
    client = client_context(ca=ca, cert=cert, key=key, whose="the node agents'")
    for context in (server, client):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return TlsContexts(server=server, client=client)
